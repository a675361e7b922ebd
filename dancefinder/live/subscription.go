package live

import (
	"context"
	"sync"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// unknown is a position that is still to be found out.
const unknown eventsourced.Position = -1

// Subscription is what one subscriber gets.
type Subscription struct {
	hub     *Hub
	client  string
	changes chan Change
	from    eventsourced.Position // guarded by hub.mu

	mu     sync.Mutex
	err    error
	ended  bool
	forget func() bool // the context
}

// Subscribe returns a subscription to all changes of what is committed after the call,
// or at its end. It ends with ctx, with [Subscription.Close], with [ErrSlow], and with
// [ErrStopped]. client is who is limited by [Config.MaxPerClient], such as an address
// or a user; nobody is when it is empty. It returns [ErrTooMany], [ErrTooManyOfClient],
// [ErrStopped], and what the log returns when it can't be read.
func (h *Hub) Subscribe(ctx context.Context, client string) (*Subscription, error) {
	s, err := h.register(client)
	if err != nil {
		return nil, err
	}
	// Only now: whatever comes after this position is told to s.
	from, err := h.log.Head(ctx)
	if err != nil {
		s.end(err)
		return nil, err
	}
	h.mu.Lock()
	s.from = from
	h.mu.Unlock()
	s.mu.Lock()
	s.forget = context.AfterFunc(ctx, func() { s.end(ctx.Err()) })
	s.mu.Unlock()
	select {
	case h.came <- struct{}{}:
	default:
	}
	return s, nil
}

func (h *Hub) register(client string) (*Subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stopped:
		return nil, ErrStopped
	case len(h.subscribers) >= h.config.MaxSubscribers:
		return nil, ErrTooMany
	case client != "" && h.perClient[client] >= h.config.MaxPerClient:
		return nil, ErrTooManyOfClient
	}
	s := &Subscription{hub: h, client: client, from: unknown, changes: make(chan Change, h.config.Buffer), forget: func() bool { return true }}
	h.subscribers[s] = struct{}{}
	h.perClient[client]++
	return s, nil
}

// Subscribers returns how many are told of what is committed from now on.
func (h *Hub) Subscribers() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subscribers {
		if s.from != unknown {
			n++
		}
	}
	return n
}

// Changes returns the channel of the changes, in the order of the log. It is closed
// when the subscription ends; [Subscription.Err] says why.
func (s *Subscription) Changes() <-chan Change { return s.changes }

// Err returns why the subscription has ended: [ErrSlow], [ErrStopped] or its context's
// error; nil while it goes on and after Close.
func (s *Subscription) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the subscription. It may be called more than once.
func (s *Subscription) Close() { s.end(nil) }

// end closes the channel. What is in it can still be taken.
func (s *Subscription) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended, s.err = true, err
	s.forget()
	close(s.changes)
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	delete(s.hub.subscribers, s)
	if s.hub.perClient[s.client]--; s.hub.perClient[s.client] == 0 {
		delete(s.hub.perClient, s.client)
	}
}

// offer gives the subscriber a change, or cuts it off.
func (s *Subscription) offer(c Change) {
	s.mu.Lock()
	full := false
	if !s.ended {
		select {
		case s.changes <- c:
		default:
			full = true
		}
	}
	s.mu.Unlock()
	if full {
		s.end(ErrSlow)
	}
}

func (h *Hub) current() []*Subscription {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*Subscription, 0, len(h.subscribers))
	for s := range h.subscribers {
		all = append(all, s)
	}
	return all
}

func (h *Hub) send(changes ...Change) {
	for _, s := range h.current() {
		for _, c := range changes {
			s.offer(c)
		}
	}
}

func (h *Hub) stop() {
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	for _, s := range h.current() {
		s.end(ErrStopped)
	}
}
