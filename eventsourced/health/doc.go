// Package health is whether to restart a program that runs consumers, and whether to send it
// requests: two questions with two answers.
//
//	h, err := health.New(pool, health.Config{Status: manager.Status, Loops: []health.Loop{manager}})
//	mux.Handle("GET /healthz", h.Live())
//	mux.Handle("GET /readyz", h.Ready())
//
// [Health.Live] answers 503 when something hangs here for good, in one of [Config] Loops: a handler or a reaction that
// has not returned for HangTimeout. Nothing but a restart of this program ends that, whoever has taken the consumer
// over meanwhile. Otherwise it answers 200, and says of each consumer which [Condition] it has. A restart mends none
// of them, so none is another code: alert on them.
//
// [Health.Ready] answers 503 only where it helps to send requests elsewhere: this node can't reach the
// database, or is about to end. A consumer that failed or is behind is so on every node.
//
// Both are JSON, or lines of text for those who accept only text/plain. They tell what anybody may
// know: no error's text.
package health
