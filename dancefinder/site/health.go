package site

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// readyTimeout is how long looking may take: who asks does so every few seconds.
const readyTimeout = 2 * time.Second

// health says that the process runs: whoever gets no answer may start it again.
func (s *Site) health(w http.ResponseWriter, _ *http.Request) { writeHealth(w, http.StatusOK, "ok") }

// ready says whether to send requests here. The reason is for whoever runs the site
// and goes to the log, not to whoever asks.
func (s *Site) ready(w http.ResponseWriter, r *http.Request) {
	select {
	case <-s.closing:
		writeHealth(w, http.StatusServiceUnavailable, "closing")
		return
	default:
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := s.config.Ready(ctx); err != nil {
		s.config.Logger.WarnContext(ctx, "not ready to take requests", "error", err)
		writeHealth(w, http.StatusServiceUnavailable, "not ready")
		return
	}
	writeHealth(w, http.StatusOK, "ready")
}

func writeHealth(w http.ResponseWriter, status int, word string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": word})
}
