package consumer_test

import (
	"context"
	"fmt"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// part stands for a manager of projections, a relay, a reactor, or a server of the application's.
type part string

func (p part) Run(ctx context.Context) error {
	<-ctx.Done()
	fmt.Println(p, "has ended")
	return nil
}

// What runs is named in the order in which it is needed, and ends the other way round. A main takes
// its context from signal.NotifyContext.
func ExampleRun() {
	ctx, stop := context.WithCancel(context.Background())
	stop() // somebody pressed Ctrl-C
	fmt.Println(consumer.Run(ctx, part("projections"), part("relay"), part("reactor")))
	// Output:
	// reactor has ended
	// relay has ended
	// projections has ended
	// <nil>
}
