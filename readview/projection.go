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
)

// Projection turns events into the tables of one read view. It is a value:
// [Manager.Add] takes a copy.
type Projection struct {
	// Name identifies the projection and its position for ever. Required.
	Name string

	// Handlers apply the events; an event without a handler is passed over.
	// Required.
	Handlers Handlers

	// Reset empties the projection's tables. Without it, [Manager.ResetProjection]
	// refuses.
	Reset ResetHandler

	// Tables are all tables that the handlers write, without a schema.
	Tables []string

	// AcceptNewEvents lets the projection go on when it handles events that it
	// did not handle when it moved past them: those in the past stay unhandled.
	// Defaults to false: such a projection is refused until it is reset. Names of which
	// the log has no event that was passed over need neither.
	AcceptNewEvents bool
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
	goType reflect.Type
	call   func(ctx context.Context, tx Tx, event eventsourced.Event) error
}

// On makes a handler of f, for events of the type that f takes.
//
// f is called for one event at a time, in the order of the log, and sees its own
// writes and those for all events before. What it writes is committed together
// with the position, or not at all; after an error or a lost connection it is
// called again for the same event, in a new transaction. So its only effects are
// on tx. [eventsourced.FromContext] gives the event's id, position, version and
// metadata. An error stops the projection at the event, see [Manager].
func On[E any, P interface {
	*E
	eventsourced.Event
}](f func(ctx context.Context, tx Tx, event P) error) Handler {
	if f == nil {
		return Handler{} // Add refuses it
	}
	return Handler{
		goType: reflect.TypeFor[P](),
		call: func(ctx context.Context, tx Tx, event eventsourced.Event) error {
			return f(ctx, tx, event.(P))
		},
	}
}

// ResetHandler empties the tables of a projection, so that its events can be
// applied from the first one again.
type ResetHandler interface {
	// Reset is called in the transaction that also sets the position to 0. It
	// should be short: readers of the tables may have to wait for it.
	Reset(ctx context.Context, tx Tx) error
}

// ResetFunc is a function as a [ResetHandler].
type ResetFunc func(ctx context.Context, tx Tx) error

// Reset implements [ResetHandler].
func (f ResetFunc) Reset(ctx context.Context, tx Tx) error { return f(ctx, tx) }

// Truncate returns a reset handler that empties tables in one TRUNCATE. It does
// not cascade: where a foreign key of another table refers to one of these, the
// reset fails and nothing has changed.
func Truncate(tables ...string) ResetHandler { return truncate(tables) }

type truncate []string

// Reset implements [ResetHandler].
func (tables truncate) Reset(ctx context.Context, tx Tx) error {
	quoted := make([]string, len(tables))
	for i, table := range tables {
		quoted[i] = pgx.Identifier{table}.Sanitize()
	}
	_, err := tx.ExecContext(ctx, "TRUNCATE TABLE "+strings.Join(quoted, ", "))
	return err
}

// definition is a checked projection.
type definition struct {
	Projection
	handlers map[string]Handler // by event name
	handled  []string           // the names that their events are stored under, sorted
}

func define(p Projection, registry *eventsourced.Registry) (*definition, error) {
	d := &definition{Projection: p, handlers: make(map[string]Handler, len(p.Handlers))}
	var problems []error
	if strings.TrimSpace(p.Name) == "" || len(p.Name) > eventsourced.MaxName {
		problems = append(problems, fmt.Errorf("its name needs 1 to %d bytes", eventsourced.MaxName))
	}
	if len(p.Handlers) == 0 {
		problems = append(problems, errors.New("it needs at least one handler"))
	}
	for _, handler := range p.Handlers {
		if handler.call == nil {
			problems = append(problems, errors.New("it has a handler without a function: On(nil), or one that On did not make"))
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
		}
	}
	d.handled = registry.StoredNames(slices.Collect(maps.Keys(d.handlers))...)
	switch reset := p.Reset.(type) {
	case ResetFunc:
		if reset == nil {
			problems = append(problems, errors.New("its Reset is a nil function"))
		}
	case truncate:
		if len(reset) == 0 {
			problems = append(problems, errors.New("its Reset truncates no table"))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("projection %q: %w", p.Name, err)
	}
	return d, nil
}
