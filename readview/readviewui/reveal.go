package readviewui

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// revealed tells whether a request asks to see what [Config.Redact] hides: only a POST of somebody who may does,
// and then it is in the operator log, of a projection or of none, with what was asked for.
func (h *Handler) revealed(ctx context.Context, r *http.Request, projection string, arguments map[string]string) (bool, error) {
	if r.Method != http.MethodPost {
		return false, nil
	}
	actor, err := h.authorize(r, Reveal)
	if err != nil {
		return false, h.forbidden(r, Reveal, err)
	}
	return true, h.manager.Record(eventsourced.WithActor(ctx, actor), projection, string(Reveal), arguments)
}

// forbidden is the answer to who may not do something.
func (h *Handler) forbidden(r *http.Request, action Action, why error) problem {
	h.config.Logger.WarnContext(r.Context(), "refused on the admin page", "action", string(action), "error", why)
	return problem{Status: http.StatusForbidden, Title: "You can look, not act", Text: "You may not do this: " + string(action) + ". Nothing has changed."}
}

// hides tells whether anything is hidden from who has not asked for it.
func (h *Handler) hides(revealed bool) bool { return h.config.Redact != nil && !revealed }

// redacted returns an event as it may be shown.
func (h *Handler) redacted(event eventsourced.Recorded, revealed bool) eventsourced.Recorded {
	if h.hides(revealed) {
		shown := h.config.Redact(event)
		event.Payload, event.Metadata = shown.Payload, shown.Metadata
	}
	return event
}

// indented is a payload as people read it: JSON in lines, and anything else as it is.
func indented(payload []byte) string {
	var text bytes.Buffer
	if json.Indent(&text, payload, "", "  ") != nil {
		return string(payload)
	}
	return unescaped.Replace(text.String())
}

// unescaped writes what encoding/json escapes for markup as it is: the page is no markup of it.
var unescaped = strings.NewReplacer(`\\`, `\\`, `\u003c`, "<", `\u003e`, ">", `\u0026`, "&")
