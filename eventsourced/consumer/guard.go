package consumer

import (
	"context"
	"errors"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

var (
	errGoexit  = errors.New("it ended its goroutine (runtime.Goexit, as FailNow of a test does)")
	errGivenUp = errors.New("it did not end in time, and is not waited for any longer")
)

// Guard calls what is not ours, on behalf of an event, nil for none. A panic and
// runtime.Goexit are errors. What takes long is on record; after
// [Config.HangTimeout] its context ends. It is waited for, as nothing may
// overtake it, but not when Run is to end.
func (f *Follower) Guard(ctx context.Context, p Part, event *eventsourced.Recorded, what string, call func(context.Context) error) error {
	ctx, cancel := f.draining(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		err := errGoexit
		defer func() {
			if panicked := (*wait.PanicError)(nil); errors.As(err, &panicked) {
				f.logger.ErrorContext(ctx, what+" panicked", "panic", panicked.Value, "stack", string(panicked.Stack))
			}
			done <- err
		}()
		defer wait.Recover(&err)
		err = call(ctx)
	}()
	w := f.Watch(p, event, what)
	defer w.End()
	for {
		select {
		case err := <-done:
			return err
		case <-w.C():
			if w.Late(ctx) {
				cancel()
			}
		case <-f.givenUp:
			f.logger.WarnContext(ctx, "consumer ends without waiting any longer", "what", what)
			return errGivenUp
		}
	}
}
