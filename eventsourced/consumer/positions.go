package consumer

import (
	"context"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Kind is what a consumer does with events.
type Kind string

// The kinds of consumers.
const (
	KindProjection Kind = "projection" // shows them in tables: package readview
	KindReactor    Kind = "reactor"    // does something about them: package reactor
	KindRelay      Kind = "relay"      // publishes them: package relay
	KindSubscriber Kind = "subscriber" // delivers them as messages: package messaging
)

// ID says which consumer is meant. It is the same on all nodes, and for ever: a position
// belongs to it.
type ID struct {
	Kind  Kind
	Name  string // a subscriber's is its consumer group
	Topic string // a subscriber's
}

// String returns the name, of a subscriber "group/topic".
func (id ID) String() string {
	if id.Kind == KindSubscriber {
		return id.Name + "/" + id.Topic
	}
	return string(id.Kind) + " " + id.Name
}

// column is the kind and the topic as the table consumers has them.
func (id ID) column() string {
	if id.Kind == KindSubscriber {
		return id.Topic
	}
	return "$" + string(id.Kind)
}

// idOf returns the id of a row.
func idOf(name, topic string) ID {
	for _, kind := range []Kind{KindReactor, KindRelay} {
		if topic == "$"+string(kind) {
			return ID{Kind: kind, Name: name}
		}
	}
	return ID{Kind: KindSubscriber, Name: name, Topic: topic}
}

// LeaseStore keeps how far each consumer is, and who consumes for it. Its
// methods are called by all nodes, concurrently, and repeated when they fail: the
// outcome of a call that returns an error may be either.
type LeaseStore interface {
	// Acquire makes node the active one for ttl, unless another node's lease is
	// valid. A consumer that was never seen starts at position 0.
	Acquire(ctx context.Context, id ID, node string, ttl time.Duration) (Lease, error)

	// Renew extends the lease of node to ttl from now. A lease that has ended
	// but that nobody else took is still node's. It returns [ErrLeaseLost] when
	// another node has acquired it, even if that one has released it since.
	Renew(ctx context.Context, id ID, node string, ttl time.Duration) error

	// Save moves the position, if it is from and node has the lease as Renew
	// understands it; otherwise it returns [ErrLeaseLost]. A repeated Save
	// succeeds. What Save did may be forgotten when the store crashes: then
	// events come again.
	Save(ctx context.Context, id ID, node string, from, to eventsourced.Position) error

	// Release ends the lease of node, if it has it, so that another one may
	// acquire it at once.
	Release(ctx context.Context, id ID, node string) error
}

// Lease is the outcome of [LeaseStore.Acquire].
type Lease struct {
	Held     bool
	Position eventsourced.Position // of the consumer, if held
	Left     time.Duration         // of the other node's lease, if not held
}
