package consumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/dancefinder/eventsourcing/internal/need"
)

// Runner is what runs until its context ends, and returns nil then: a manager of projections,
// a relay, a reactor, a server of the application's.
type Runner interface {
	Run(ctx context.Context) error
}

// Run runs all until ctx ends or one of them returns. Then it ends them one by one,
// the last one first, each once the one after it has returned: name what others need before
// those who need it.
//
//	err := consumer.Run(ctx, manager, relay, reactor)
//
// Here the reactor issues no more commands when the relay publishes what it has caused, and
// the projections, for which a reaction may wait, end last.
//
// It returns the errors of all, nil when ctx has ended and there is none. One that returns nil
// before it is to end has stopped, which is an error: the others would go on without it. No
// runner is an error, and so is one that is nil: nothing is run then.
func Run(ctx context.Context, runners ...Runner) error {
	var problems []error
	if len(runners) == 0 {
		problems = append(problems, errors.New("consumer.Run: there is no runner"))
	}
	for i, runner := range runners {
		if need.Nil(runner) {
			problems = append(problems, fmt.Errorf("consumer.Run: runner %d is nil", i+1))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	broken, failed := context.WithCancel(ctx)
	defer failed()
	ends := make([]context.CancelFunc, len(runners))
	done := make([]chan error, len(runners))
	for i, runner := range runners {
		var own context.Context
		own, ends[i] = context.WithCancel(context.WithoutCancel(ctx))
		done[i] = make(chan error, 1)
		go func() {
			err := runner.Run(own)
			if err == nil && own.Err() == nil {
				err = fmt.Errorf("%T has stopped by itself", runner)
			}
			failed()
			done[i] <- err
		}()
	}
	<-broken.Done()
	var err error
	for i := len(runners) - 1; i >= 0; i-- {
		ends[i]()
		err = errors.Join(<-done[i], err)
	}
	return err
}
