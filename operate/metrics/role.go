package metrics

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// For how long the one that reports may say nothing to the server, and may be asked nothing.
const (
	silence = 15 * time.Second
	unasked = 2 * time.Minute
)

// role is that of the reporter: one node of those that share a database has it, by a lock of a session of its own. The server
// ends that session when it is silent: the node is frozen, or cut off. What is never scraped gives it up.
type role struct {
	config           Config
	silence, unasked time.Duration

	mu     sync.Mutex
	conn   *pgx.Conn // has the lock, nil when another node has it
	asked  time.Time // last
	forget context.CancelFunc
}

// electSQL tries to take the advisory lock that the reporting node of a schema has: of $1, or else the one where this
// connection finds the consumers' tables, which may be the same one for nodes whose search paths differ. From then on the session
// ends when it is silent for $2, where the server can do that: from version 14 on.
const electSQL = `SELECT pg_try_advisory_lock(hashtextextended('eventsourcing metrics of ' || coalesce(nullif($1, ''),
	(SELECT nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = coalesce(to_regclass('readviews'), to_regclass('consumers'))),
	current_schema(), ''), 0)),
	(SELECT set_config(name, $2, false) FROM pg_settings WHERE name = 'idle_session_timeout')`

// used tells that somebody has asked this node for metrics.
func (r *role) used() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = time.Now()
}

// held tells whether this node has it, as far as known.
func (r *role) held() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conn != nil
}

// take tells whether this node reports, after trying to be the one.
func (r *role) take(ctx context.Context) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		if err := r.conn.Ping(ctx); err == nil {
			return true, nil
		}
		_ = r.drop(ctx)
	}
	config := r.config.Pool.Config().ConnConfig.Copy()
	config.RuntimeParams["application_name"] = "metrics"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	var locked bool
	if err := conn.QueryRow(ctx, electSQL, r.config.Schema, fmt.Sprint(r.silence.Milliseconds())).Scan(&locked, nil); err != nil || !locked {
		_ = conn.Close(ctx)
		return false, err
	}
	r.conn = conn
	kept, forget := context.WithCancel(context.Background())
	r.forget = forget
	go r.keep(kept, conn)
	return true, nil
}

// keep says something to the server at intervals, scrapes or not.
func (r *role) keep(ctx context.Context, conn *pgx.Conn) {
	ticker := time.NewTicker(r.silence / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r.ping(ctx, conn)
		}
	}
}

func (r *role) ping(ctx context.Context, conn *pgx.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != conn {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	if time.Since(r.asked) > r.unasked || conn.Ping(ctx) != nil {
		_ = r.drop(ctx)
	}
}

// drop gives it up. r.mu is held.
func (r *role) drop(ctx context.Context) error {
	if r.conn == nil {
		return nil
	}
	err := r.conn.Close(ctx)
	r.conn = nil
	r.forget()
	return err
}

func (r *role) close(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.drop(ctx)
}
