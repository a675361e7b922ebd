package eventsourced

import (
	"context"
	"fmt"
	"strconv"
	"sync"
)

type (
	commandKey   struct{}
	executionKey struct{}
)

// command is what WithCommand puts into a context.
type command struct {
	id        EventID
	execution *execution
}

// execution is what is done in one go under commands.
type execution struct {
	mu      sync.Mutex
	changes map[change]struct{} // that are made, or being made
}

type change struct {
	command EventID
	stream  Stream
}

func newExecution() *execution { return &execution{changes: map[change]struct{}{}} }

// WithCommand returns a context under which a repository carries out a command
// once: the ids of the events that it appends follow from the command's id, so
// that doing the same again, whatever it would decide now, appends nothing and
// returns the position of the first time.
//
// Each call begins an execution of the command; a repetition, in this process or
// another one, is the same id in another execution. In one execution a command changes
// a stream once: a second change could not be told from a repetition of the first, and
// is refused with [ErrCommandUsed]. That goes for an Update whose act records nothing or
// fails as well, as it may do otherwise the next time, but not for one that fails for
// other reasons, such as a lost connection. Put what belongs together into one act, or
// give the second change a [WithStep] of its own.
//
// An id that is zero, as of a command that came without one, is refused with [ErrInvalid] at the first change:
// all such commands would be one.
func WithCommand(ctx context.Context, id EventID) context.Context {
	running, ok := ctx.Value(executionKey{}).(*execution)
	if !ok {
		running = newExecution()
	}
	return context.WithValue(ctx, commandKey{}, command{id, running})
}

// WithStep returns a context for a part of the command that ctx has, which may change
// the same streams once more: a command of its own, whose id follows from that one's and
// the step's name. It returns ctx when there is no command.
func WithStep(ctx context.Context, name string) context.Context {
	c, ok := ctx.Value(commandKey{}).(command)
	if !ok || c.id.IsZero() {
		return ctx
	}
	return context.WithValue(ctx, commandKey{}, command{derivedID("step", c.id[:], []byte(name)), c.execution})
}

// WithExecution returns a context under which all calls of [WithCommand] with one id
// are one execution. It is for those who call handlers: each attempt gets one, as those
// of a reactor do, and a handler that names its command twice is noticed.
func WithExecution(ctx context.Context) context.Context {
	return context.WithValue(ctx, executionKey{}, newExecution())
}

// beginChange is called before a stream is changed, and end after it, with whether the
// change is made, or decided against. Without a command both do nothing.
func beginChange(ctx context.Context, stream Stream) (end func(made bool), err error) {
	c, ok := ctx.Value(commandKey{}).(command)
	if !ok {
		return func(bool) {}, nil
	}
	if c.id.IsZero() {
		return nil, fmt.Errorf("change %s by a command: %w: its id is zero", stream, ErrInvalid)
	}
	running, this := c.execution, change{c.id, stream}
	running.mu.Lock()
	defer running.mu.Unlock()
	if _, used := running.changes[this]; used {
		return nil, fmt.Errorf("change %s by command %s: %w", stream, c.id, ErrCommandUsed)
	}
	running.changes[this] = struct{}{}
	return func(made bool) {
		if !made {
			running.mu.Lock()
			defer running.mu.Unlock()
			delete(running.changes, this)
		}
	}, nil
}

// CommandID returns the id of the command that somebody issues because of an
// event, always the same. issuer tells apart those who issue commands because of
// the same event, such as "geocoding".
func CommandID(event *Recorded, issuer string) EventID {
	return derivedID("command", event.ID[:], []byte(issuer))
}

// commandEventID returns the id of the i-th event that the command in ctx appends
// to a stream, zero when there is no command.
func commandEventID(ctx context.Context, stream Stream, i int) EventID {
	c, ok := ctx.Value(commandKey{}).(command)
	if !ok {
		return EventID{}
	}
	return derivedID("event", c.id[:], []byte(stream.AggregateName), []byte(stream.AggregateID), []byte(strconv.Itoa(i)))
}
