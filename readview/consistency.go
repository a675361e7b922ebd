package readview

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// DefaultWaitLimit is the default of [ConsistencyConfig.Limit].
const DefaultWaitLimit = 2 * time.Second

// MinKey is how many bytes a key of [ConsistencyConfig.Keys] has at least.
const MinKey = 32

// The headers of [Consistency.Handler].
const (
	// TokenHeader carries a token: in the answer to a write, and in the requests that
	// must see that write.
	TokenHeader = "Consistency-Token"

	// ConsistencyHeader says "strict" in a request that must not be answered stale. In an
	// answer it says [ConsistencySatisfied] or [ConsistencyStale].
	ConsistencyHeader = "Consistency"

	ConsistencyStrict    = "strict"
	ConsistencySatisfied = "satisfied"
	ConsistencyStale     = "stale"
)

// ConsistencyConfig is what a [Consistency] needs to know.
type ConsistencyConfig struct {
	// Keys sign the tokens: the first one signs, all of them verify. To change the key,
	// put the new one second on all nodes, then first, then leave the old one out.
	// Each has at least [MinKey] bytes, which are random and secret: who has one can make
	// every request wait. At least one is required, the same on all nodes.
	Keys [][]byte

	// Limit is how long a wait takes at most. Defaults to [DefaultWaitLimit].
	Limit time.Duration

	// PollInterval is how often the positions are asked for while somebody waits, by one
	// query for all who do. What this process applies itself is seen without. Defaults to what fits
	// the time that somebody has waited: from 1 to 20 ms, longer where the database takes longer to answer.
	PollInterval time.Duration
}

// Consistency lets a user read what he has just written, although projections are a little
// late: a write is answered with a token of its position, a query that carries the token
// waits until the database that answers it has applied that position.
//
// It waits by asking that database, so it is right on every node, and also where
// queries are answered by a replica. All who wait at a time share one query for each
// look, with those of [Manager.WaitFor] if pool is the manager's own, and while nobody waits there is none. Its methods are safe for concurrent use.
// There is nothing to close.
type Consistency struct {
	m      *Manager
	config ConsistencyConfig
	log    [logSize]byte
	watch  *watcher
	head   highest
}

// NewConsistency returns a Consistency for the projections of manager, whose router need
// not run, and for queries that pool answers: the manager's own, or one that leads to a
// replica of its database. (A pool whose connections lead to different replicas won't do: the
// one that is asked may be ahead of the one that answers. Make one for each.)
//
// It asks the log for its identity. The manager's log has to be [eventsourced.Identified],
// and to be the one that is written, not a replica, which may not have the tokens' positions yet.
func NewConsistency(ctx context.Context, manager *Manager, pool *pgxpool.Pool, config ConsistencyConfig) (*Consistency, error) {
	problems := []error{config.validate()}
	switch {
	case manager == nil:
		problems = append(problems, errors.New("readview.NewConsistency: the manager is nil"))
	case manager.log == nil:
		problems = append(problems, errors.New("readview.NewConsistency: the manager has no log"))
	}
	if pool == nil {
		problems = append(problems, errors.New("readview.NewConsistency: the pool is nil"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	identified, ok := manager.log.(eventsourced.Identified)
	if !ok {
		return nil, fmt.Errorf("readview.NewConsistency: the log, a %T, has no identity: it has to be eventsourced.Identified", manager.log)
	}
	id, err := identified.LogID(ctx)
	if err != nil {
		return nil, fmt.Errorf("readview.NewConsistency: identity of the log: %w", err)
	}
	setDefault(&config.Limit, DefaultWaitLimit)
	config.Keys = slices.Clone(config.Keys)
	watch := manager.watch
	if pool != manager.pool {
		watch = newWatcher(manager, pool)
	}
	return &Consistency{m: manager, config: config, log: logTag(id), watch: watch}, nil
}

func (c ConsistencyConfig) validate() error {
	var problems []error
	if len(c.Keys) == 0 {
		problems = append(problems, errors.New("readview.ConsistencyConfig: Keys is empty"))
	}
	for i, key := range c.Keys {
		if len(key) < MinKey {
			problems = append(problems, fmt.Errorf("readview.ConsistencyConfig: Keys[%d] has %d bytes, want at least %d", i, len(key), MinKey))
		}
	}
	if c.Limit < 0 {
		problems = append(problems, errors.New("readview.ConsistencyConfig: Limit is negative"))
	}
	if c.PollInterval < 0 {
		problems = append(problems, errors.New("readview.ConsistencyConfig: PollInterval is negative"))
	}
	return errors.Join(problems...)
}

// Token returns the token of a position of the manager's log: what
// [eventsourced.Repository.Update] has returned. It is printable, safe in a header and in a
// URL, and to be treated as opaque.
func (c *Consistency) Token(position eventsourced.Position) string { return c.sign(position) }

// Verify returns the position of a token. Its errors unwrap to [ErrToken], and to one of
// [ErrTokenForged], [ErrTokenForeign] and [ErrTokenFuture]; others are of the log, which was
// asked for its head.
func (c *Consistency) Verify(ctx context.Context, token string) (eventsourced.Position, error) {
	position, err := c.open(token)
	if err != nil {
		return 0, err
	}
	if c.head.covers(position) {
		return position, nil
	}
	head, err := c.m.log.Head(ctx)
	if err != nil {
		return 0, fmt.Errorf("verify a consistency token: head of the log: %w", err)
	}
	c.head.raise(head)
	if position > head {
		return 0, fmt.Errorf("%w: it is of position %d, and the log ends at %d", ErrTokenFuture, position, head)
	}
	return position, nil
}

// ConsistencyResult is how a wait ended.
type ConsistencyResult struct {
	Satisfied   bool                 `json:"satisfied"`   // all projections have applied what the token names
	Projections []ProjectionProgress `json:"projections"` // those that were waited for, in the order of their names
}

// ProjectionProgress is how far a projection was in the database that answers.
type ProjectionProgress struct {
	Name     string                `json:"name"`
	Position eventsourced.Position `json:"position"` // everything up to it is applied
	Target   eventsourced.Position `json:"target"`   // what was waited for
	State    consumer.State        `json:"state"`
}

// Err returns nil when the result is satisfied, else an error that unwraps to
// [ErrConsistencyTimeout] and names the projections that are late: for strict reads.
func (r ConsistencyResult) Err() error {
	if r.Satisfied {
		return nil
	}
	return r.late()
}

// Wait waits until the named projections, all of the manager's own log when none is named, have
// applied the position of token, for as long as [ConsistencyConfig.Limit]. When
// they have not, the result says so and is not an error: the caller answers stale, or not
// at all, see [ConsistencyResult.Err].
//
// It does not wait for what won't come: when one of the projections has not applied the
// position and is failed, paused, ahead of its log, being rebuilt after a reset or otherwise catching
// up on events older than the limit, or has been retrying for longer than that, the
// result comes at once, with its state.
//
// Errors: those of [Consistency.Verify]; [ErrUnknownProjection]; [ErrOtherLog]; ctx's, at once when
// it ends; the database's, when it could not be asked once within the limit.
func (c *Consistency) Wait(ctx context.Context, token string, names ...string) (ConsistencyResult, error) {
	position, err := c.Verify(ctx, token)
	if err != nil {
		return ConsistencyResult{}, err
	}
	return c.WaitPosition(ctx, position, names...)
}

// WaitPosition is [Consistency.Wait] for a position that has been verified.
func (c *Consistency) WaitPosition(ctx context.Context, position eventsourced.Position, names ...string) (ConsistencyResult, error) {
	names, err := c.local(names)
	if err != nil {
		return ConsistencyResult{}, err
	}
	return c.wait(ctx, position, names)
}

// Handler returns a handler that has requests wait as [Consistency.Wait] does, and
// then calls next. projections returns the names of those that the answer to a request is read
// from; nil stands for all.
//
// A request without [TokenHeader] does not wait. With one, the answer's
// [ConsistencyHeader] is [ConsistencySatisfied] or [ConsistencyStale], and next finds the result with
// [ConsistencyFromContext]. A request whose [ConsistencyHeader] is [ConsistencyStrict] is not answered
// stale: its answer is the status 503. A token that is refused is answered by 400. Such answers
// are problems as in RFC 9457, with a member "code": BAD_CONSISTENCY_TOKEN,
// BAD_CONSISTENCY, CONSISTENCY_TIMEOUT (with "projections", too) or CONSISTENCY_UNAVAILABLE.
func (c *Consistency) Handler(next http.Handler, projections func(*http.Request) []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(w, r, next, projections) })
}

// ConsistencyFromContext returns the result of the wait before the handler was called, false
// when there was none.
func ConsistencyFromContext(ctx context.Context) (ConsistencyResult, bool) {
	result, ok := ctx.Value(consistencyKey{}).(ConsistencyResult)
	return result, ok
}

type consistencyKey struct{}
