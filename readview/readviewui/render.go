package readviewui

import (
	"bytes"
	"context"
	"encoding/json"
	"html/template"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// frame is what a template gets: what is around each page, and the page's own.
type frame struct {
	App    string // the application's name
	Name   string // of the page's template
	Title  string // of the document
	At     time.Time
	Look   *look // how all consumers stand
	Parked int64
	Actor  string // who may do something, "" for who may look
	View   any

	h      *Handler
	r      *http.Request
	rights map[Action]bool
}

// titled is a view that names its document.
type titled interface{ DocumentTitle() string }

// page returns what answers with a page: view is also its JSON. Templates are in
// templates/NAME.html, which defines "main" and gets a frame.
func (h *Handler) page(name string, view func(ctx context.Context, r *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := h.bounded(r.Context())
		defer cancel()
		v, err := view(ctx, r)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		h.respond(w, r, http.StatusOK, name, v)
	})
}

// respond writes a view as it is wanted: as a page, or as JSON.
func (h *Handler) respond(w http.ResponseWriter, r *http.Request, status int, name string, view any) {
	w.Header().Add("Vary", "Accept")
	var body bytes.Buffer
	var err error
	if wantsJSON(r) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		encoder := json.NewEncoder(&body)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(view)
	} else {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		err = h.templates[name].ExecuteTemplate(&body, "layout", h.frame(r, name, view))
	}
	if err != nil {
		h.config.Logger.ErrorContext(r.Context(), "the admin page could not be made", "page", name, "error", err)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	text := withVisibleControls(body.Bytes())
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

func (h *Handler) frame(r *http.Request, name string, view any) *frame {
	ctx, cancel := h.bounded(r.Context())
	defer cancel()
	f := &frame{App: h.config.Title, Name: name, View: view, At: time.Now(), Look: h.look(ctx), h: h, r: r, rights: map[Action]bool{}}
	for _, s := range f.Look.All {
		f.Parked += s.Parked
	}
	if t, ok := view.(titled); ok {
		f.Title = t.DocumentTitle()
	}
	for _, action := range actions {
		if actor, err := h.authorize(r, action); err == nil {
			f.Actor = actor
			break
		}
	}
	return f
}

// actions are all actions, the most harmless ones first.
var actions = []Action{DryRun, Verify, Explain, Resume, Pause, Retry, Rebuild, Swap, Rollback, Park, Skip, Reset, EndSession, Reveal}

// Can tells whether who is asking may do something.
func (f *frame) Can(action Action) bool {
	can, known := f.rights[action]
	if !known {
		_, err := f.h.authorize(f.r, action)
		can = err == nil
		f.rights[action] = can
	}
	return can
}

// Section is the page in the head to which this one belongs.
func (f *frame) Section() string {
	switch f.Name {
	case "consumer", "confirm":
		return "overview"
	case "stream":
		return "events"
	}
	return f.Name
}

// Nav are the pages in the head.
func (f *frame) Nav() []link {
	pages := []link{{"overview", ".", "Overview"}, {"events", "events", "Events"}, {"parked", "parked", "Parked"}, {"nodes", "nodes", "Nodes"}, {"log", "log", "Log"}, {"operations", "operations", "Operator log"}}
	if f.h.inspector == nil {
		pages = slices.DeleteFunc(pages, func(l link) bool { return l.Name == "events" || l.Name == "log" })
	}
	return pages
}

type link struct{ Name, URL, Text string }

// wantsJSON tells whether a request asks for JSON before it asks for a page.
func wantsJSON(r *http.Request) bool {
	for _, kind := range strings.Split(r.Header.Get("Accept"), ",") {
		switch kind, _, _ = strings.Cut(strings.TrimSpace(kind), ";"); kind {
		case "application/json":
			return true
		case "text/html", "application/xhtml+xml":
			return false
		}
	}
	return false
}

// problem is an answer that is none.
type problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Text   string `json:"detail"`
	Back   string `json:"-"` // where to go on
}

// DocumentTitle names the document.
func (p problem) DocumentTitle() string { return p.Title }

// refuse answers with a problem.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, p problem) {
	if p.Back == "" {
		p.Back = "."
	}
	h.respond(w, r, p.Status, "problem", p)
}

// readTemplates returns a set of templates for each page.
func (h *Handler) readTemplates() (map[string]*template.Template, error) {
	layout, err := template.New("layout").Funcs(h.functions()).ParseFS(files, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	entries, err := files.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	all := map[string]*template.Template{}
	for _, entry := range entries {
		name := strings.TrimSuffix(entry.Name(), path.Ext(entry.Name()))
		if name == "layout" || name == "parts" {
			continue
		}
		set, err := layout.Clone()
		if err == nil {
			set, err = set.ParseFS(files, "templates/"+entry.Name())
		}
		if err != nil {
			return nil, err
		}
		all[name] = set
	}
	return all, nil
}
