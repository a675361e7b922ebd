package readview_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	shared "github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/readview"
)

const partTable = `CREATE TABLE part (entry BIGINT GENERATED ALWAYS AS IDENTITY, position BIGINT NOT NULL, id UUID NOT NULL,
	what TEXT NOT NULL, transaction BIGINT NOT NULL DEFAULT txid_current())`

func insertPart(ctx context.Context, tx readview.Tx, what string) error {
	part := eventsourced.FromContext(ctx)
	return readview.Exec(ctx, tx, `INSERT INTO part (position, id, what) VALUES ($1, $2, $3)`,
		int64(part.Position), part.ID.String(), part.Name+" "+what)
}

var errNowhere = errors.New("nowhere")

// people has handlers of today's names only; relocate comes before its row.
func people(relocate func(*shared.Relocated) error) readview.Projection {
	return readview.Projection{
		Name:   "people",
		Tables: []string{"part"},
		Handlers: readview.Handlers{
			readview.On(func(ctx context.Context, tx readview.Tx, e *shared.Named) error { return insertPart(ctx, tx, e.Name) }),
			readview.On(func(ctx context.Context, tx readview.Tx, e *shared.Relocated) error {
				if err := insertPart(ctx, tx, e.Town); err != nil || relocate == nil {
					return err
				}
				return relocate(e)
			}),
		},
	}
}

// newEvolvedBank has the tables of people and a log whose registry is not that of accounts.
func newEvolvedBank(t *testing.T, registry *eventsourced.Registry) *bank {
	t.Helper()
	b := newBank(t)
	b.evolve(registry)
	b.exec(partTable)
	return b
}

// evolve replaces the program's registry.
func (b *bank) evolve(registry *eventsourced.Registry) {
	b.store = pgstore.New(b.pool, registry, pgstore.Config{})
	b.t.Cleanup(b.store.Close)
}

// old appends events that an older program stored, and returns the last position.
func (b *bank) old(events ...eventsourced.EventData) eventsourced.Position {
	b.t.Helper()
	stream := eventsourced.Stream{AggregateName: "people.Person", AggregateID: "p"}
	position, err := b.store.Append(b.t.Context(), stream, eventsourced.Any, events)
	require.NoError(b.t, err)
	return position
}

// oldPeople are n people of all kinds.
func oldPeople(n int) (events []eventsourced.EventData) {
	for i := range n {
		events = append(events,
			shared.Old("Registered", fmt.Sprintf(`{"Name": "Ann%d", "Town": "Mora%d"}`, i, i)),
			shared.Old("Moved", fmt.Sprintf(`{"Town": "Falun%d"}`, i)),
			shared.Old("Registered", `{}`),
			shared.Old("Named", fmt.Sprintf(`{"Name": "Bo%d"}`, i)),
			shared.Old("Registered", fmt.Sprintf(`{"Town": "Orsa%d"}`, i)))
	}
	return append(events, shared.Old("Registered", `{}`)) // the end of the log is nothing today
}

// requireParts fails unless the table has all that the log is today, once, in order, and what was
// one event came by one transaction.
func (b *bank) requireParts(log *bank) {
	b.t.Helper()
	var want []string
	for stored, err := range log.store.ReadLog(b.t.Context(), eventsourced.LogQuery{}) {
		require.NoError(b.t, err)
		parts, err := shared.Evolved().Upcast(b.t.Context(), stored)
		require.NoError(b.t, err)
		for _, part := range parts {
			decoded, err := shared.Evolved().Decode(b.t.Context(), part)
			require.NoError(b.t, err)
			what := ""
			switch e := decoded[0].(type) {
			case *shared.Named:
				what = e.Name
			case *shared.Relocated:
				what = e.Town
			}
			want = append(want, fmt.Sprintf("%d %s %s %s", stored.Position, part.ID, part.Name, what))
		}
	}
	require.Equal(b.t, want, b.rows(`SELECT concat_ws(' ', position, id, what) FROM part ORDER BY entry`))
	require.Zero(b.t, b.int(`SELECT count(*) FROM (SELECT FROM part GROUP BY position HAVING count(DISTINCT transaction) > 1) AS torn`))
	require.NotZero(b.t, b.int(`SELECT count(*) FROM (SELECT FROM part GROUP BY position HAVING count(*) > 1) AS split`))
}

func TestSplitEventIsAppliedAsOne(t *testing.T) {
	t.Parallel()
	for _, pageEvents := range []int{1, 7, 1000} {
		t.Run(fmt.Sprintf("in pages of %d", pageEvents), func(t *testing.T) {
			t.Parallel()
			b := newEvolvedBank(t, shared.Evolved())
			config := fast()
			config.PageEvents = pageEvents
			before := b.old(oldPeople(4)...)
			manager, router := b.manager(config, people(nil))
			b.start(router)
			b.waitFor(manager, before)
			last := b.old(oldPeople(1)...) // live
			b.waitFor(manager, last)
			b.requireParts(b)
			require.Equal(t, last, b.status(manager, "people").Position, "what is nothing today moves the position")
			require.Zero(t, b.status(manager, "people").Behind)
		})
	}
}

func TestSplitEventFailsAsOne(t *testing.T) {
	t.Parallel()
	for name, byDatabase := range map[string]bool{"the handler of its second part": false, "the database, at its second part": true} {
		for _, pageEvents := range []int{1, 7, 1000} {
			t.Run(fmt.Sprintf("by %s, in pages of %d", name, pageEvents), func(t *testing.T) {
				t.Parallel()
				b := newEvolvedBank(t, shared.Evolved())
				var cured atomic.Bool
				projection := people(func(e *shared.Relocated) error {
					if e.Town == "Nowhere" && !byDatabase && !cured.Load() {
						return errNowhere
					}
					return nil
				})
				if byDatabase {
					b.exec(`ALTER TABLE part ADD CONSTRAINT somewhere CHECK (what NOT LIKE '%Nowhere')`)
				}
				before := b.old(oldPeople(2)...)
				poison := shared.Old("Registered", `{"Name": "Eve", "Town": "Nowhere"}`)
				position := b.old(poison)
				last := b.old(oldPeople(2)...)
				config := fast()
				config.PageEvents, config.Attempts = pageEvents, 2
				manager, router := b.manager(config, projection)
				b.start(router)
				b.eventually("it fails", func() bool { return b.status(manager, "people").State == consumer.Failed })
				status := b.status(manager, "people")
				require.Equal(t, before, status.Position, "just before the event")
				require.Equal(t, poison.ID, status.Failure.EventID)
				require.Equal(t, "Registered", status.Failure.EventName)
				require.Equal(t, position, status.Failure.Position)
				require.Contains(t, status.Failure.Error, map[bool]string{false: "nowhere", true: "somewhere"}[byDatabase])
				require.Zero(t, b.int(fmt.Sprintf(`SELECT count(*) FROM part WHERE position >= %d`, position)), "nothing of it is there")
				cured.Store(true)
				b.exec(`ALTER TABLE part DROP CONSTRAINT IF EXISTS somewhere`)
				require.NoError(t, manager.Resume(t.Context(), "people"))
				b.waitFor(manager, last)
				b.requireParts(b)
			})
		}
	}
}

// A program whose events were renamed and split goes on where the one before it was, without a reset.
func TestProjectionGoesOnWhenItsEventsAreRenamed(t *testing.T) {
	t.Parallel()
	type (
		Moved struct {
			eventsourced.BaseEvent
			Town string
		}
		Registered struct {
			eventsourced.BaseEvent
			Name, Town string
		}
	)
	b := newEvolvedBank(t, eventsourced.MustRegistry(eventsourced.Type[Moved]("Moved"), eventsourced.Type[Registered]("Registered")))
	before := b.old(shared.Old("Moved", `{"Town": "Mora"}`), shared.Old("Registered", `{"Name": "Ann", "Town": "Orsa"}`))
	earlier := people(nil)
	earlier.Handlers = readview.Handlers{
		readview.On(func(ctx context.Context, tx readview.Tx, e *Moved) error { return insertPart(ctx, tx, e.Town) }),
		readview.On(func(ctx context.Context, tx readview.Tx, e *Registered) error { return insertPart(ctx, tx, e.Name) }),
	}
	manager, router := b.manager(fast(), earlier)
	stop := b.start(router)
	b.waitFor(manager, before)
	stop()
	b.old(shared.Old("Registered", `{"Name": "Bo", "Town": "Falun"}`)) // while none runs

	b.evolve(shared.Evolved())
	manager, router = b.manager(fast(), people(nil))
	b.start(router)
	b.waitFor(manager, b.old(shared.Old("Moved", `{"Town": "Rome"}`), shared.Old("Relocated", `{"Town": "Oslo"}`)))
	require.Equal(t, []string{"Moved Mora", "Registered Ann", "Named Bo", "Relocated Falun", "Relocated Rome", "Relocated Oslo"},
		b.rows(`SELECT what FROM part ORDER BY entry`))
}
