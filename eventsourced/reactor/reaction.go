package reactor

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/need"
)

// Reaction handles the events of one type; [On] and [OnTx] make it.
type Reaction struct {
	goType reflect.Type
	tx     bool                                                                 // it wants a transaction
	call   func(ctx context.Context, tx pgx.Tx, event eventsourced.Event) error // nil if On got nil
}

// Type returns the type of the events, a pointer; nil for a Reaction that is not made by [On]
// or [OnTx].
func (r Reaction) Type() reflect.Type { return r.goType }

// On makes a reaction of f, for events of the type that f takes.
//
// f is called for one event of a stream at a time, in the order of the log, at least once: it
// is called again after an error, and for an event that it had finished when the
// process died before that was saved. So what it does has to be harmless when it
// is done twice; [eventsourced.WithCommand] makes a command so. With [Config.Concurrency] it is
// called by several goroutines, for events of different streams. What its error may ask for:
// [Retry], [Park], [Skip].
//
// Its context has the event, see [eventsourced.FromContext]: what is appended under
// it names the event as its cause. The context ends
// [consumer.Config.DrainTimeout] after Run's, when another node took over, and when f
// takes longer than [consumer.Config.HangTimeout]: then the reactor waits for f to
// return, and another node takes over. No connection is held meanwhile. A panic is an error,
// and so is [runtime.Goexit], which FailNow of a test calls.
func On[E any, P interface {
	*E
	eventsourced.Event
}](f func(ctx context.Context, event P) error) Reaction {
	if f == nil {
		return Reaction{goType: reflect.TypeFor[P]()}
	}
	return Reaction{
		goType: reflect.TypeFor[P](),
		call:   func(ctx context.Context, _ pgx.Tx, event eventsourced.Event) error { return f(ctx, event.(P)) },
	}
}

// OnTx is [On] for a reaction whose effects are all in the reactor's database: f writes in tx,
// in which it is also written that the event is handled. So what f does is done exactly once,
// whatever crashes: with tx it may call pgstore.Store.AppendTx, or
// [eventsourced.Repository.UpdateTx] with pgstore.Store.Tx, or write tables.
//
// tx is the reactor's to commit or roll back; it runs at READ COMMITTED. It holds a connection
// while f runs, and when it has appended, the log's lock: append last, and call nobody else
// meanwhile. The server ends it when it stands idle for longer than
// [consumer.Config.HangTimeout].
func OnTx[E any, P interface {
	*E
	eventsourced.Event
}](f func(ctx context.Context, tx pgx.Tx, event P) error) Reaction {
	if f == nil {
		return Reaction{goType: reflect.TypeFor[P]()}
	}
	return Reaction{
		goType: reflect.TypeFor[P](),
		tx:     true,
		call:   func(ctx context.Context, tx pgx.Tx, event eventsourced.Event) error { return f(ctx, tx, event.(P)) },
	}
}

// reactionsByName returns the reactions by the names of their events, and what is
// wrong with them.
func reactionsByName(log eventsourced.Log, reactions []Reaction) (byName map[string]Reaction, problems []error) {
	byName = map[string]Reaction{}
	seen := map[reflect.Type]bool{}
	for _, reaction := range reactions {
		switch {
		case reaction.goType == nil:
			problems = append(problems, errors.New("a reaction is not made by On or OnTx"))
			continue
		case reaction.call == nil:
			problems = append(problems, fmt.Errorf("the reaction to %v is nil", reaction.goType))
		}
		if len(need.Log("", log)) > 0 {
			if seen[reaction.goType] {
				problems = append(problems, fmt.Errorf("two reactions to %v", reaction.goType))
			}
			seen[reaction.goType] = true
			continue
		}
		name, known := log.Registry().NameOf(reaction.goType)
		switch _, twice := byName[name]; {
		case !known:
			problems = append(problems, fmt.Errorf("the event type %v is not in the registry", reaction.goType))
		case twice:
			problems = append(problems, fmt.Errorf("two reactions to %s", name))
		default:
			byName[name] = reaction
		}
	}
	if len(reactions) == 0 {
		problems = append(problems, errors.New("it needs at least one reaction"))
	}
	return byName, problems
}
