package readview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/need"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// Projection turns events into the tables of one read view. It is a value:
// [Manager.Add] takes a copy.
type Projection struct {
	// Name identifies the projection and its position for ever. Required.
	Name string

	// Handlers apply the events; an event without a handler is passed over.
	// Required.
	Handlers Handlers

	// Tables are all tables that the handlers write, without a schema, as they are found
	// in the search path. No two projections of a manager write the same one: a reset of one would
	// empty the other's. The projection waits, with [ErrNoTable], until the database has
	// them all. Without Tables nothing of this is checked.
	Tables []string

	// Reset empties the projection's tables: all of Tables, and none of another projection's;
	// otherwise a reset fails, and nothing has changed. Defaults to [Truncate] of Tables; without
	// those, [Manager.ResetProjection] refuses.
	Reset ResetHandler

	// OnFailure is what becomes of an event that can't be applied, after its tries. Defaults to
	// [StopAtFailure].
	OnFailure OnFailure

	// Durability is whether a page's commit waits for the server's disk. Defaults to [Flushed].
	Durability Durability

	// Triggers are the names of those triggers of the tables that write nothing but the row that they are called for,
	// or others of the projection's tables. [Manager.Rebuild] and its like refuse tables with other triggers.
	Triggers []string

	// NotFromLog are columns, as "table.column", whose values are no function of the events: the time when a
	// row was written, for example. They make no difference between a row and its replay.
	NotFromLog []string

	// AcceptNewEvents lets the projection go on when it handles events that it
	// did not handle when it moved past them: those in the past stay unhandled.
	// Of a remote projection that holds for what the other context publishes only later, too.
	// Defaults to false: such a projection is refused until it is reset. Names of which
	// the log has no event that was passed over need neither.
	AcceptNewEvents bool

	// Version is raised when the handlers make something else of the same events, or of other
	// tables: what is in the tables then has to be made anew. It is stored beside the position,
	// with the definition of Tables. When a program starts with a higher version than is stored,
	// or finds that the tables' columns or constraints are not as they were, WhenChanged decides. A
	// program with a lower version stands by, with [ErrOlderProgram], until somebody resets or
	// rebuilds the projection with it: then the higher one does. Defaults to 0, which is a
	// version, too, but one that does not look at the tables' definition.
	Version int

	// WhenChanged is what becomes of the projection when its tables have what another version
	// made, or lack events that it now handles. Defaults to [RefuseWhenChanged].
	WhenChanged ChangePolicy
}

// Tx is the transaction that handlers write the read view in: the part of
// [*sql.Tx] that they need, so that a test may pass one of those. Nobody but the
// framework commits it or rolls it back. It is used by one goroutine at a time,
// and not after the handler has returned.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

var _ Tx = (*sql.Tx)(nil)

// Handlers are the handlers of one projection, at most one an event type.
type Handlers []Handler

// Handler applies the events of one type; [On] makes it.
type Handler struct {
	goType  reflect.Type
	call    func(ctx context.Context, tx Tx, event eventsourced.Event) error
	lookUps func(event eventsourced.Event) []Lookup // nil for none
}

// Lookup is a query that the handler of an event will make, see [On].
type Lookup struct {
	Query string // its text, as the handler has it
	Args  []any
}

// On makes a handler of f, for events of the type that f takes.
//
// f is called for one event at a time, in the order of the log, and sees its own
// writes and those for all events before. What it writes is committed together
// with the position, or not at all; after an error or a lost connection it is
// called again for the same event, in a new transaction. So its only effects are
// on tx. [eventsourced.FromContext] gives the event's id, position, version and
// metadata. An error stops the projection at the event, see [Manager].
//
// lookUps, of which there is one at most, says what f will look up: those of a page are fetched in one round trip, at the
// first of them that is made, where f would have one for each. That is for queries like SELECT a, b FROM t WHERE key = $1, by a key
// as in the package's section "The pipeline"; others are made as if they had not been declared, and so is one whose row the page
// may have changed since. f makes its query as ever, and sees its own writes and those for all events before; what somebody else commits
// to the table it may see a page later. Nothing else depends on what is declared: f need not make a query that is, and may make
// others. lookUps is called before the handlers of the page's events before, perhaps for events that are not applied; so it
// looks at nothing but the event. Its panics are the handler's.
func On[E any, P interface {
	*E
	eventsourced.Event
}](f func(ctx context.Context, tx Tx, event P) error, lookUps ...func(event P) []Lookup) Handler {
	if f == nil || len(lookUps) > 1 || len(lookUps) == 1 && lookUps[0] == nil {
		return Handler{} // Add refuses it
	}
	h := Handler{
		goType: reflect.TypeFor[P](),
		call: func(ctx context.Context, tx Tx, event eventsourced.Event) error {
			return f(ctx, tx, event.(P))
		},
	}
	if len(lookUps) == 1 {
		h.lookUps = func(event eventsourced.Event) []Lookup { return lookUps[0](event.(P)) }
	}
	return h
}

// OnType is [On] for a type of events, a pointer, that only the running program knows: for what
// is built on projections.
func OnType(goType reflect.Type, f func(ctx context.Context, tx Tx, event eventsourced.Event) error) Handler {
	if goType == nil || f == nil {
		return Handler{} // Add refuses it
	}
	return Handler{goType: goType, call: f}
}

// OnPgx makes a handler of a function that uses pgx's own API, as code does that sqlc
// generates for pgx/v5: queries.New(tx). All else is as with [On]: tx is the page's
// transaction, which the handler does not commit or roll back; tx.Begin makes a savepoint.
//
// It leaves the pipeline: pgx returns what each statement did, so each waits for a round
// trip of its own, and rows of several events don't go together. A catch-up is then as fast as a loop that
// executes one statement after the other, on loopback about a tenth of the speed of [On], and less where
// the database is further away. Statements that are sent by one tx.SendBatch share a round trip. Handlers of [On] of
// the same projection keep theirs.
//
// What tx.Conn gives is out of sight: an event whose handler asks for it is applied alone, and the
// connection is closed afterwards. tx.LargeObjects panics.
func OnPgx[E any, P interface {
	*E
	eventsourced.Event
}](f func(ctx context.Context, tx pgx.Tx, event P) error) Handler {
	if f == nil {
		return Handler{} // Add refuses it
	}
	return Handler{
		goType: reflect.TypeFor[P](),
		call: func(ctx context.Context, tx Tx, event eventsourced.Event) error {
			turn, ok := tx.(*pipeline.Turn)
			if !ok {
				return fmt.Errorf("a handler of OnPgx needs the transaction of a page, not a %T", tx)
			}
			return f(ctx, turn.Pgx(), event.(P))
		},
	}
}

// definition is a checked projection.
type definition struct {
	Projection
	handlers map[string]Handler // by event name
	handled  []string           // the names that their events are stored under, sorted
	foresees bool               // some say what they will look up
	topic    string             // that feeds it, "" for the log
}

func define(p Projection, registry *eventsourced.Registry) (*definition, error) {
	d := &definition{Projection: p, handlers: make(map[string]Handler, len(p.Handlers))}
	var problems []error
	problems = append(problems, need.Name("its name", p.Name))
	if len(p.Handlers) == 0 {
		problems = append(problems, errors.New("it needs at least one handler"))
	}
	for _, handler := range p.Handlers {
		if handler.call == nil {
			problems = append(problems, errors.New("it has a handler without a function: On(nil), one that On did not make, or one with look-ups that are nil or two functions"))
			continue
		}
		if registry == nil { // that is another problem
			continue
		}
		name, known := registry.NameOf(handler.goType)
		switch _, twice := d.handlers[name]; {
		case !known:
			problems = append(problems, fmt.Errorf("its handler's event type %v is not in the registry", handler.goType))
		case twice:
			problems = append(problems, fmt.Errorf("it has two handlers for %s", name))
		default:
			d.handlers[name] = handler
			d.foresees = d.foresees || handler.lookUps != nil
		}
	}
	if p.OnFailure != StopAtFailure && p.OnFailure != ParkFailures {
		problems = append(problems, fmt.Errorf("its OnFailure is %d, want StopAtFailure or ParkFailures", p.OnFailure))
	}
	if p.Durability != Flushed && p.Durability != Deferred {
		problems = append(problems, fmt.Errorf("its Durability is %d, want Flushed or Deferred", p.Durability))
	}
	problems = append(problems, d.defineVersion())
	if registry != nil {
		d.handled = registry.StoredNames(slices.Collect(maps.Keys(d.handlers))...)
	}
	problems = append(problems, d.defineReset())
	if err := errors.Join(problems...); err != nil {
		return d, fmt.Errorf("projection %q: %w", p.Name, err)
	}
	return d, nil
}

// defineReset checks the tables against the reset handler, and gives each what only the
// other says.
func (d *definition) defineReset() error {
	var problems []error
	for i, table := range d.Tables {
		switch {
		case strings.TrimSpace(table) == "":
			problems = append(problems, fmt.Errorf("its Tables[%d] is empty", i))
		case strings.Contains(table, "."):
			problems = append(problems, fmt.Errorf("its Tables have %q: tables are named without a schema, see Config.Schema", table))
		case slices.Contains(d.Tables[:i], table):
			problems = append(problems, fmt.Errorf("its Tables have %q twice", table))
		}
	}
	switch reset := d.Reset.(type) {
	case nil:
		if len(d.Tables) > 0 {
			d.Reset = truncate(d.Tables)
		}
	case ResetFunc:
		if reset == nil {
			problems = append(problems, errors.New("its Reset is a nil function"))
		}
	case truncate:
		if len(reset) == 0 {
			problems = append(problems, errors.New("its Reset truncates no table"))
		}
		if d.Tables == nil {
			d.Tables = slices.Clone(reset)
			break
		}
		for _, table := range d.Tables {
			if !slices.Contains(reset, table) {
				problems = append(problems, fmt.Errorf("its Reset does not empty %q, which is one of its Tables: leave Reset out, then all Tables are emptied", table))
			}
		}
		for _, table := range reset {
			if !slices.Contains(d.Tables, table) {
				problems = append(problems, fmt.Errorf("its Reset empties %q, which is not one of its Tables: add it to them", table))
			}
		}
	}
	return errors.Join(problems...)
}

// overlap returns an error when both projections write the same table.
func (d *definition) overlap(other *definition) error {
	for _, table := range d.Tables {
		if slices.Contains(other.Tables, table) {
			return fmt.Errorf("projection %q: its table %q is one of projection %q, too, and a reset of one would empty the other's: give each its own, or make one projection of both",
				d.Name, table, other.Name)
		}
	}
	return nil
}
