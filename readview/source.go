package readview

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// source is where a projection's pages come from: the log (log.go) or the messages of
// another context (messages.go). Towards the router it is the subscriber and the
// handler. It knows the applier, and the applier does not ask which one it is.
type source interface {
	// Subscribe and Close are called by the router. What Subscribe begins goes on until
	// Close, or until its context ends.
	message.Subscriber

	// handle is the router's handler. It has the page of a message applied; what it
	// returns is for the middlewares.
	handle(msg *message.Message) error

	// look is called when somebody has reset, paused or resumed the projection, and
	// returns at once.
	look()

	// measure completes a status that has a position with what there is to apply: Head, Behind
	// and Lag, and Failure if only the source knows of it. Its error is why that can't be told.
	measure(ctx context.Context, status *consumer.Status, stored record, log *lookAhead) error

	// late tells, of a status that was measured, whether events wait for longer than they
	// should.
	late(status *consumer.Status, stored record) bool
}

// runner is one projection on this node.
type runner struct {
	*applier
	source source
	topic  string // that it subscribes to
}

// wake has the projection look at its state.
func (r *runner) wake() {
	r.source.look()
	r.announce(0, time.Time{})
}
