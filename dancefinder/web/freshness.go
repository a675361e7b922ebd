package web

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// What somebody has done is known by a token of its position in the log, which a
// cookie keeps for a while: the answer to the next requests waits until the read views
// show it, and says so when they don't in time. Whether the read views get on at all
// is looked at at most twice a second, for all requests together.

const (
	tokenCookie = "efter"
	tokenLasts  = 30 * time.Second
	lookEvery   = 500 * time.Millisecond

	// tolerated is how late the read views may be without a word.
	tolerated = 5 * time.Second
)

// banner says that the answer is not up to date.
type banner struct {
	Text, Detail string
	Button       string
}

// await waits for what the user has just done.
func (h *handler) await(r *http.Request, p *page) {
	cookie, err := r.Cookie(tokenCookie)
	if err != nil {
		return
	}
	result, err := h.config.Consistency.Wait(r.Context(), cookie.Value)
	if err == nil && !result.Satisfied { // a token that is none is of no use, and does no harm
		p.Banner = &banner{Detail: p.T("saved")}
	}
}

// remember lets the next requests wait for position.
func (h *handler) remember(w http.ResponseWriter, r *http.Request, token string) {
	h.setCookie(w, r, tokenCookie, token, tokenLasts)
}

func (h *handler) setCookie(w http.ResponseWriter, r *http.Request, name, value string, lasts time.Duration) {
	age := int(lasts.Seconds())
	if age == 0 {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: h.config.Secure || r.TLS != nil,
	})
}

// freshness knows since when the read views have not been up to date.
type freshness struct {
	projections interface {
		Status(ctx context.Context) ([]consumer.Status, error)
	}
	now func() time.Time

	mu      sync.Mutex
	looked  time.Time
	seen    condition
	current time.Time // when they were up to date for the last time; zero when nobody has seen that
}

// condition is how the read views are.
type condition struct {
	late, stopped bool
	preferences   bool // those of users are among what is late or stopped
	events        bool // the dances are
}

// look returns the condition, and when the read views were up to date.
func (f *freshness) look(ctx context.Context) (condition, time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if now.Sub(f.looked) < lookEvery && !f.looked.IsZero() {
		return f.seen, f.current
	}
	all, err := f.projections.Status(ctx)
	if err != nil {
		return f.seen, f.current // the questions of the page will fail for the same reason, and say so
	}
	f.looked, f.seen = now, condition{}
	for _, status := range all {
		late := status.Lag > tolerated || status.State == consumer.Ahead || status.Behind < 0
		stopped := status.State == consumer.Failed || status.State == consumer.Paused
		if status.Behind == 0 { // there is nothing that it lacks
			stopped, late = false, status.State == consumer.Ahead
		}
		f.seen.late = f.seen.late || late
		f.seen.stopped = f.seen.stopped || stopped
		f.seen.preferences = f.seen.preferences || (late || stopped) && status.Name == "userpreferences"
		f.seen.events = f.seen.events || (late || stopped) && status.Name == "event"
	}
	if !f.seen.late && !f.seen.stopped {
		f.current = now
	}
	return f.seen, f.current
}

// stale puts a banner on the page when its answer is late.
func (h *handler) stale(ctx context.Context, p *page, unknown bool) {
	c, current := h.fresh.look(ctx)
	if p.Banner == nil && !c.late && !c.stopped && !unknown {
		return
	}
	p.Unsure = c.events
	b := &banner{Button: p.T("reload")}
	at := ""
	if !current.IsZero() {
		at = current.In(stockholm).Format("15" + p.clock + "04")
	}
	switch {
	case c.stopped && at != "":
		b.Text = p.T("stopped", at)
	case c.stopped:
		b.Text = p.T("stopped now")
	case at != "" && (c.late || p.Banner != nil):
		b.Text, b.Detail = p.T("stale at", at), p.T("updating")
	default:
		b.Text, b.Detail = p.T("stale"), p.T("updating")
	}
	if p.Banner != nil {
		b.Detail = p.Banner.Detail
	}
	p.Banner = b
}
