package readview

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// leaseRequest asks for the renewal of a lease.
type leaseRequest struct {
	name       string
	generation int64
	rate       float64
}

// leaseAnswer is what came of it.
type leaseAnswer struct {
	held     bool
	locked   bool // it is node's to have, and somebody has its row locked
	position eventsourced.Position
	recorded bool // a failure is
}

// renew is lease for many, in one statement, which waits for nobody. It is not broken off with ctx either.
func (s states) renew(ctx context.Context, node string, ttl time.Duration, asked []leaseRequest) (map[string]leaseAnswer, error) {
	sql, err := s.sql(ctx)
	if err != nil {
		return nil, err
	}
	var (
		names       = make([]string, len(asked))
		generations = make([]int64, len(asked))
		rates       = make([]float64, len(asked))
	)
	for i, r := range asked {
		names[i], generations[i], rates[i] = r.name, r.generation, r.rate
	}
	answers := make(map[string]leaseAnswer, len(asked))
	err = wait.Detached(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, sql.renew, node, names, generations, rates, ttl.Microseconds())
		if err != nil {
			return err
		}
		var (
			name string
			a    leaseAnswer
		)
		_, err = pgx.ForEachRow(rows, []any{&name, &a.held, &a.locked, (*int64)(&a.position), &a.recorded}, func() error {
			answers[name] = a
			return nil
		})
		if err != nil || s.positions == nil {
			return err
		}
		at, err := s.located(ctx, names...)
		for name, a := range answers {
			a.position = at[name]
			answers[name] = a
		}
		return err
	})
	return answers, err
}

// rivalry is how a projection is for which a node stands by.
type rivalry struct {
	generation int64
	running    bool
	leaseValid bool
	leaseLeft  time.Duration
}

// turns returns how projections are for which this node stands by, those that there are.
func (s states) turns(ctx context.Context, names []string) (map[string]rivalry, error) {
	sql, err := s.sql(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, sql.turns, names)
	if err != nil {
		return nil, err
	}
	var (
		all  = make(map[string]rivalry, len(names))
		name string
		t    rivalry
		left int64
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &t.generation, &t.running, &t.leaseValid, &left}, func() error {
		t.leaseLeft = time.Duration(left) * time.Millisecond
		all[name] = t
		return nil
	})
	return all, err
}

// move moves the positions in readviews of projections that have nothing to apply, of those that are as they were read and that
// nobody has locked, and returns which. As in a page, the position is locked before the state is read: who changes that
// holds the same lock. It needs no flush to disk: what a crash undoes is done again.
func (s states) move(ctx context.Context, moves []move) (moved map[string]bool, err error) {
	sql, err := s.sql(ctx)
	if err != nil {
		return nil, err
	}
	var (
		byName                    = map[string]move{}
		names                     []string
		generations, from, target []int64
	)
	for _, m := range moves {
		byName[m.source.Name] = m
		names = append(names, m.source.Name)
	}
	err = wait.Detached(ctx, func(ctx context.Context) error {
		return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
			rows, err := tx.Query(ctx, sql.lockIdle, names)
			if err != nil {
				return err
			}
			names = nil // those that are locked
			var name string
			_, err = pgx.ForEachRow(rows, []any{&name, nil}, func() error {
				m := byName[name]
				names = append(names, name)
				generations, from, target = append(generations, m.generation), append(from, int64(m.from)), append(target, int64(m.to))
				return nil
			})
			if err != nil {
				return err
			}
			rows, err = tx.Query(ctx, sql.moveIdle, names, generations, from, target)
			if err != nil {
				return err
			}
			moved = map[string]bool{}
			_, err = pgx.ForEachRow(rows, []any{&name}, func() error {
				moved[name] = true
				return nil
			})
			return err
		})
	})
	return moved, err
}
