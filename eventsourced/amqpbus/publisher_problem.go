package amqpbus

import (
	"context"
	"fmt"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// Problem tells why nothing could be published now: the broker is down, refuses the
// connection or blocks it. It is nil when there is a connection. The error has a
// [*consumer.ProblemError], with since when. Without a connection it makes one, beside
// the caller and with a back-off: so whoever asks now and then, as package relay does, learns
// of a broker that is down when there is nothing to publish. It returns at once.
func (p *Publisher) Problem() error {
	if !p.mu.TryLock() { // one publishes or connects, and learns more
		return p.known()
	}
	defer p.mu.Unlock()
	if p.closed.Load() {
		return nil
	}
	if s := p.session; s != nil {
		select {
		case <-s.ended:
			p.fails(errLost)
		default:
			if s.blocked.Load() {
				p.fails(fmt.Errorf("%w: %s", ErrBlocked, s.reason()))
			} else {
				p.problem.Store(nil)
			}
			return p.known()
		}
	}
	if !p.connecting && time.Now().After(p.connectAt) {
		p.connecting = true
		go p.reconnect()
	}
	return p.known()
}

// known returns what is known to be wrong.
func (p *Publisher) known() error {
	if problem := p.problem.Load(); problem != nil {
		return problem
	}
	return nil
}

// reconnect tries once to connect.
func (p *Publisher) reconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connecting = false
	if p.closed.Load() {
		return
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), p.config.ConfirmTimeout, ErrNotConfirmed)
	defer cancel()
	if _, err := p.connect(ctx); err != nil {
		p.broker.another()
		p.fails(err)
		p.connectAt = time.Now().Add(wait.BackOff{First: DefaultBackOff, Last: DefaultMaxBackOff}.After(p.problem.Load().Attempts))
		return
	}
	p.problem.Store(nil)
}

// fails notes that there is no connection to publish with.
func (p *Publisher) fails(err error) {
	problem := &consumer.ProblemError{Err: fmt.Errorf("publish at %s: %w", p.broker, err), Since: time.Now(), Attempts: 1}
	if before := p.problem.Load(); before != nil {
		problem.Since, problem.Attempts = before.Since, before.Attempts+1
	}
	p.problem.Store(problem)
}
