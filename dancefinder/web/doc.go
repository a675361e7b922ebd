// Package web is DanceFinder's page: the dances as a list and on a map, what a user
// hides and where they start from, and the same dances for their calendar.
//
// The server renders all of it, so that it works without script: filters are links
// and forms whose state is in the URL ([search]), actions are forms that are posted
// and lead back to the page. The script (static/*.js) fetches the very same pages and
// swaps what has changed. There is no build step: templates, style sheet, script and
// map are files of this package.
//
// What somebody has just done is seen in the next answer, see freshness.go. All texts
// are in words_sv.go and words_en.go.
package web
