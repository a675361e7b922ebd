package readview

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// problem is an answer as in RFC 9457.
type problem struct {
	Title       string               `json:"title"`
	Status      int                  `json:"status"`
	Detail      string               `json:"detail"`
	Code        string               `json:"code"`
	Projections []ProjectionProgress `json:"projections,omitempty"`
}

func (p problem) write(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // it has nothing that can't be marshaled
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // nothing to do for a client that is gone
}

func (c *Consistency) serve(w http.ResponseWriter, r *http.Request, next http.Handler, projections func(*http.Request) []string) {
	w.Header().Add("Vary", TokenHeader)
	w.Header().Add("Vary", ConsistencyHeader)
	mode := strings.Join(r.Header.Values(ConsistencyHeader), ", ")
	strict := strings.EqualFold(mode, ConsistencyStrict)
	if mode != "" && !strict {
		problem{Title: http.StatusText(http.StatusBadRequest), Status: http.StatusBadRequest, Code: "BAD_CONSISTENCY",
			Detail: "The header " + ConsistencyHeader + ` of a request says "` + ConsistencyStrict + `", or is left out.`}.write(w)
		return
	}
	token := strings.Join(r.Header.Values(TokenHeader), ", ") // several are none
	if token == "" {
		next.ServeHTTP(w, r)
		return
	}
	var names []string
	if projections != nil {
		names = projections(r)
	}
	result, err := c.Wait(r.Context(), token, names...)
	if err == nil && strict {
		err = result.Err()
	}
	if err != nil {
		c.refuse(w, r, result, err)
		return
	}
	answer := ConsistencySatisfied
	if !result.Satisfied {
		answer = ConsistencyStale
		w.Header().Set("Cache-Control", "no-store")
	}
	w.Header().Set(ConsistencyHeader, answer)
	next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), consistencyKey{}, result)))
}

// refuse answers a request that is not answered by the application. What went wrong inside is in the
// log and not in the answer.
func (c *Consistency) refuse(w http.ResponseWriter, r *http.Request, result ConsistencyResult, err error) {
	p := problem{Title: http.StatusText(http.StatusServiceUnavailable), Status: http.StatusServiceUnavailable}
	switch {
	case errors.Is(err, ErrToken):
		p.Title, p.Status, p.Code = http.StatusText(http.StatusBadRequest), http.StatusBadRequest, "BAD_CONSISTENCY_TOKEN"
		p.Detail = "The header " + TokenHeader + " is not a token that this server has given out. Leave it out, and read again."
	case errors.Is(err, ErrConsistencyTimeout):
		p.Code, p.Projections = "CONSISTENCY_TIMEOUT", result.Projections
		p.Detail = "What was written counts, and can't be read yet. Try again, or without the header " + ConsistencyHeader + "."
		w.Header().Set(ConsistencyHeader, ConsistencyStale)
	default:
		p.Code, p.Detail = "CONSISTENCY_UNAVAILABLE", "Whether what was written can be read yet could not be found out. Try again."
		if r.Context().Err() == nil {
			c.m.config.Logger.ErrorContext(r.Context(), "consistency of a request not found out", "error", err)
		}
	}
	p.write(w)
}
