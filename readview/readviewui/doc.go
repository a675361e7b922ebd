// Package readviewui is the admin page of read views, and of what else goes through the log: an
// [http.Handler] that an application mounts with one line.
//
//	page, err := readviewui.New(manager, store, pool, readviewui.Config{})
//	...
//	mux.Handle("/admin/", page)
//
// It says what is wrong, since when, who notices and what to do next, and does it: by the same calls as the
// command line of package operate, with who did it in the operator log. It needs no script; with script, values
// are live. Each page also answers "Accept: application/json".
//
// # Who may what
//
// Who may look is for the application to say, by a handler around the page. Without [Config.Authorize] nobody may
// do more. With it, it is asked for each action: a button is shown only to those who may press it, and a request is
// refused with 403 all the same.
//
//	what an attacker tries                  why it does not work
//	markup in a payload, a name, an error   html/template; a content policy without anything inline
//	text that turns what follows around     characters that do are shown as \u202e, see visible.go
//	a form of another site                  http.CrossOriginProtection; no action by GET
//	a button that he does not see           Authorize is asked again with the request
//	a large body, many streams              64 KiB; Config.MaxStreams, five minutes each
//	loading pages again and again           all share one look a second at the database, which ends after Config.Timeout
//	SQL in a condition                      columns and values are quoted, and only columns that there are
//	ending somebody's session               only one that is in the way when the server is told; pid typed, in the operator log
//	reading personal data                   Config.Redact; asking for it is in the operator log
//
// # The last 15 minutes
//
// The curves of lag and rate are of what this process has seen, in its memory, in 30 steps: nothing is written for
// who looks. [Handler.Watch] has it look also while nobody else does. The last pages of a projection are those that this
// process has applied, see [readview.Manager.LastPages].
//
// # Pages
//
// All are in one folder, so that links need no prefix: a page is a function that returns a view, which is also
// its JSON, and a template of its name, see render.go. A page does not know whether it is shown live: script asks for
// it again when the stream at "live" says that something has changed, and puts what is new in the place of what was.
package readviewui
