package site

import (
	"context"
	"net/http"
	"time"
)

// streamGrace is how long streams may go on when the site closes.
const streamGrace = time.Second

// patience is how long a request waits for its turn when there are too many.
const patience = time.Second

// limit keeps requests within the site's limits.
func (s *Site) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		timed := &timedWriter{ResponseWriter: w, timeout: s.config.WriteTimeout}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		bodyless := r.Body == http.NoBody
		r.Body = http.MaxBytesReader(w, r.Body, s.config.MaxBody)
		if s.isStream(r) {
			if bodyless {
				// The server's ReadTimeout is for a request with an end. It counts for a body
				// all the same: GraphQL lifts it itself, when it has read that.
				_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
			}
			go func() {
				select {
				case <-s.closing:
					// A moment for whoever writes it to say why it ends.
					timer := time.NewTimer(streamGrace)
					defer timer.Stop()
					select {
					case <-timer.C:
						cancel()
					case <-ctx.Done():
					}
				case <-ctx.Done():
				}
			}()
			next.ServeHTTP(timed, r.WithContext(ctx))
			return
		}
		if !s.enter(ctx) {
			w.Header().Set("Retry-After", "2")
			http.Error(w, "There are too many requests at the moment. Try again in a few seconds.", http.StatusServiceUnavailable)
			return
		}
		defer func() { <-s.slots }()
		ctx, end := context.WithTimeout(ctx, s.config.RequestTimeout)
		defer end()
		next.ServeHTTP(timed, r.WithContext(ctx))
	})
}

// enter waits for a slot.
func (s *Site) enter(ctx context.Context) bool {
	select {
	case s.slots <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case s.slots <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// timedWriter gives each write a time by which the client must have taken it.
type timedWriter struct {
	http.ResponseWriter
	timeout time.Duration
}

// Unwrap is for [http.ResponseController].
func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *timedWriter) Write(b []byte) (int, error) {
	w.extend()
	return w.ResponseWriter.Write(b)
}

// Flush implements [http.Flusher], which streams ask for.
func (w *timedWriter) Flush() {
	w.extend()
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *timedWriter) extend() {
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.timeout))
}
