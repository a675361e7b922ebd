package graph

import (
	"net/http"
	"sync"
	"time"
)

// answer is the writer of a request's answer. gqlgen writes to it; what is added is the
// status of a refusal, a deadline for each write of a stream, so that a client that does
// not read is not waited for, and that nothing is written after the end: gqlgen's signs
// of life come from a goroutine.
type answer struct {
	http.ResponseWriter
	request *request
	control *http.ResponseController
	timeout time.Duration

	mu     sync.Mutex
	headed bool // the status is written
	ended  bool
}

func newAnswer(w http.ResponseWriter, q *request, timeout time.Duration) *answer {
	return &answer{ResponseWriter: w, request: q, control: http.NewResponseController(w), timeout: timeout}
}

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader writes the status of the refusal, if there is one.
func (a *answer) WriteHeader(status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.head(status)
}

func (a *answer) head(status int) {
	if a.headed || a.ended {
		return
	}
	a.headed = true
	if refusal := a.request.refusal(); refusal != 0 {
		status = refusal
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write writes within the limit of time.
func (a *answer) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return 0, http.ErrHandlerTimeout
	}
	a.head(http.StatusOK)
	if a.request.stream {
		// A server that can't, such as one of a test, has no limit.
		_ = a.control.SetWriteDeadline(time.Now().Add(a.timeout))
	}
	return a.ResponseWriter.Write(p)
}

// Flush implements [http.Flusher], which gqlgen looks for.
func (a *answer) Flush() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ended {
		_ = a.control.Flush() // an error comes again with the next write
	}
}

func (a *answer) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
}
