package readviewui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// How often all is looked at, while somebody does.
const (
	lookEvery = time.Second
	// lookShare is how much more time passes between looks than they take: a database that is
	// slow is not kept busy by those who want to know why.
	lookShare = 10
	lookRest  = 5 * time.Second // at most: what is wrong may be over
	warnEvery = 10 * time.Second
)

// ownTables are those without which nobody knows how consumers stand, besides the log's.
var ownTables = []string{"readviews", "readview_states", "consumers"}

// look is how all consumers stood at a time. It is read-only.
type look struct {
	At      time.Time // zero when nothing was ever known
	All     []consumer.Status
	Version string           // another one when something has changed
	Problem string           // that it is older than it should be, or lacks something; "" when it is neither
	Cause   string           // of that, as an error has it
	Old     bool             // nothing could be looked at: All is of an earlier look, and nothing is known of now
	Away    bool             // because the database does not answer
	Blocked *pgstore.Blocked // who keeps others from appending, or from ownTables; nil for nobody
	ended   time.Time
	warned  time.Time // when the log was told last of what could not be looked at
	took    time.Duration
}

// looks has the last look, which all share.
type looks struct {
	mu      sync.Mutex
	last    *look
	running chan struct{} // closed when the look under way is done; nil when none is
	stale   bool          // something has changed since that began
}

// look returns how all stand: as it was a moment ago, or as it is. When the database does not answer, it
// is what was known last.
func (h *Handler) look(ctx context.Context) *look {
	for {
		h.looks.mu.Lock()
		last, running := h.looks.last, h.looks.running
		switch {
		case last != nil && !h.looks.stale && time.Since(last.ended) < last.lasts():
			h.looks.mu.Unlock()
			return last
		case running == nil:
			running = make(chan struct{})
			h.looks.running, h.looks.stale = running, false
			go h.lookAgain(context.WithoutCancel(ctx), last, running)
		}
		h.looks.mu.Unlock()
		select {
		case <-running:
		case <-ctx.Done():
		}
		h.looks.mu.Lock()
		last, stale := h.looks.last, h.looks.stale
		h.looks.mu.Unlock()
		if stale && ctx.Err() == nil {
			continue
		}
		if last == nil {
			return &look{Problem: isAway, Cause: "Nothing is known yet.", Old: true, Away: true}
		}
		return last
	}
}

// lookAgain looks, and is done after Config.Timeout whatever happens.
func (h *Handler) lookAgain(ctx context.Context, last *look, done chan struct{}) {
	ctx, cancel := h.bounded(ctx)
	defer cancel()
	began := time.Now()
	all, err := h.status(ctx)
	now := &look{At: time.Now(), All: all}
	defer func() {
		now.ended, now.took = time.Now(), time.Since(began)
		now.Version = versionOf(now)
		h.looks.mu.Lock()
		h.looks.last, h.looks.running = now, nil
		h.looks.mu.Unlock()
		close(done)
	}()
	if last != nil {
		now.warned = last.warned
	}
	answers := false
	if h.inspector != nil { // in a time of its own: who is in the way of that look is who is looked for
		own, cancel := h.bounded(context.WithoutCancel(ctx))
		defer cancel()
		var failed error
		if now.Blocked, failed = h.inspector.Blocked(own); failed != nil {
			h.warn(ctx, now, "the admin page could not look for who is in the way", failed)
		}
		answers = failed == nil
	}
	if err != nil {
		h.warn(ctx, now, "the admin page could not look at everything", err)
		now.Problem, now.Cause = "Not everything could be looked at.", inShort(err)
		if len(all) == 0 {
			now.old(last, err, answers)
		}
	}
	if len(all) > 0 {
		log, _ := h.log.(inspected)
		h.trends.add(now, log)
	}
}

// warn writes what a look could not do into the log, once in warnEvery whatever it is: it may be so with each look.
func (h *Handler) warn(ctx context.Context, now *look, message string, err error) {
	if time.Since(now.warned) < warnEvery {
		return
	}
	now.warned = time.Now()
	h.config.Logger.WarnContext(ctx, message, "error", err)
}

// isAway is what is said when the database does not answer, and nextAway what to do then.
const (
	isAway   = "The database does not answer."
	nextAway = "See that PostgreSQL runs and takes connections; this page goes on by itself."
)

// old makes it one that knows no more than the last one did. The database may have answered something else.
func (l *look) old(last *look, err error, answers bool) {
	l.Old, l.Problem, l.At = true, "Nothing could be looked at.", time.Time{}
	if last != nil {
		l.All, l.At = last.All, last.At
	}
	if l.Away = !answers && (pgerr.Code(err) == "" || pgerr.Lost(err)); l.Away { // else it is an answer, if not one of those that were hoped for
		l.Problem = isAway
	}
}

// lasts is for how long it is taken for how things are.
func (l *look) lasts() time.Duration {
	if l.Old {
		return lookEvery
	}
	return max(lookEvery, min(lookShare*l.took, lookRest))
}

// Says is the problem with its cause, for programs.
func (l *look) Says() string { return strings.TrimSpace(l.Problem + " " + l.Cause) }

// inShort is the first line of an error, for people: those of several looks at a database that does not answer are alike.
func inShort(err error) string {
	first, rest, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
	if first = strings.TrimSuffix(first, ":"); len(first) > maxText {
		first = strings.ToValidUTF8(first[:maxText], "") + "…"
	}
	if rest != "" {
		first += " (and more: see the program’s log)"
	}
	return first + "."
}

// status returns all that goes through the log, as the command line's status does. With an error it
// returns what is known all the same.
func (h *Handler) status(ctx context.Context) ([]consumer.Status, error) {
	all, err := h.manager.Status(ctx)
	problems := []error{err}
	for i := range all {
		all[i] = whoeverRuns(all[i])
	}
	var others []consumer.Status
	if h.config.Consumers != nil {
		others, err = h.config.Consumers.Status(ctx, h.log)
		problems = append(problems, err)
	}
	all = append(all, others...)
	for _, r := range h.config.Reactors {
		status, err := r.Status(ctx)
		if err == nil && !slices.ContainsFunc(others, func(other consumer.Status) bool { return other.ID() == status.ID() }) {
			all = append(all, status)
		}
		problems = append(problems, err)
	}
	return all, errors.Join(problems...)
}

// find returns how a consumer stands; one that is not there is a problem.
func (h *Handler) find(ctx context.Context, id consumer.ID) (consumer.Status, error) {
	l := h.look(ctx)
	if l.Away {
		return consumer.Status{}, away
	}
	return h.findIn(l, id)
}

// findIn returns how a consumer stood at a look.
func (h *Handler) findIn(l *look, id consumer.ID) (consumer.Status, error) {
	for _, s := range l.All {
		if s.ID() == id {
			return s, nil
		}
	}
	if id.Kind == consumer.KindProjection && slices.Contains(h.manager.Names(), id.Name) { // it could not be looked at
		return consumer.Status{Kind: id.Kind, Name: id.Name, Behind: -1}, nil
	}
	if l.Problem != "" {
		return consumer.Status{}, problem{Status: http.StatusServiceUnavailable, Title: "Not known just now", Text: l.Says()}
	}
	return consumer.Status{}, problem{Status: http.StatusNotFound, Title: "There is no such " + kindWord(id.Kind), Text: "Nothing of that name is registered here or has run on this database."}
}

func versionOf(l *look) string {
	shown := slices.Clone(l.All)
	for i := range shown {
		shown[i].Lag = shown[i].Lag.Round(time.Second)
	}
	text, _ := json.Marshal(shown)
	sum := fnv.New64a()
	_, _ = sum.Write(text)
	_, _ = fmt.Fprint(sum, l.Problem, l.Old, l.Blocked != nil)
	if !l.Old { // whose cause names another port with each try
		_, _ = fmt.Fprint(sum, l.Cause)
	}
	return fmt.Sprintf("%x", sum.Sum64())
}

// forget has all looked at again: something was changed.
func (l *looks) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stale = true
}
