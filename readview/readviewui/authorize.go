package readviewui

import (
	"context"
	"errors"
	"net/http"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/readview"
)

// errReadOnly is why nobody may do anything without Config.Authorize.
var errReadOnly = errors.New("the page is read-only: it has no Authorize")

// authorize returns who is asking, or why they may not.
func (h *Handler) authorize(r *http.Request, action Action) (actor string, err error) {
	if h.config.Authorize == nil {
		return "", errReadOnly
	}
	actor, err = h.config.Authorize(r, action)
	if err == nil && actor == "" {
		err = errors.New("Config.Authorize names no actor")
	}
	return actor, err
}

// away is the answer to what nobody can tell or do without the database.
var away = problem{Status: http.StatusServiceUnavailable, Title: "Not known just now", Text: isAway + " " + nextAway + " Nothing has changed."}

// fail answers with an error: what the library says about what was asked for is for who
// asks; what the database says as well, as they run it.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p problem
	switch {
	case errors.As(err, &p):
	case errors.Is(err, readview.ErrUnknownProjection):
		p = problem{Status: http.StatusNotFound, Title: "There is no such projection", Text: "This program does not know it."}
	case errors.Is(err, context.DeadlineExceeded):
		p = problem{Status: http.StatusGatewayTimeout, Title: "The database took too long", Text: "What was asked for was given up, so that nothing waits for it. Try again."}
	case errors.Is(err, context.Canceled):
		return
	case pgerr.Code(err) == "" && h.look(r.Context()).Away: // which is in the log
		p = away
	default:
		h.config.Logger.ErrorContext(r.Context(), "the admin page could not answer", "path", r.URL.Path, "error", err)
		p = problem{Status: http.StatusInternalServerError, Title: "That did not work", Text: err.Error()}
	}
	h.refuse(w, r, p)
}

// Error implements error, so that whoever makes a page can answer with a problem.
func (p problem) Error() string { return p.Title + ": " + p.Text }
