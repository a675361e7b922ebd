package readviewui

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
)

// nodes is the page of who does what.
type nodes struct {
	Nodes   []node           `json:"nodes"`
	Clients []pgstore.Client `json:"clients,omitempty"`
	Problem string           `json:"problem,omitempty"` // why there are no clients
	Unread  string           `json:"unread,omitempty"`  // why there are no leases of others than projections
	Held    int              `json:"held"`
	Lost    int              `json:"lost"`
}

// DocumentTitle names the document.
func (n *nodes) DocumentTitle() string { return "Nodes" }

// node is a program that runs consumers, or has run them.
type node struct {
	Name   string  `json:"name"`
	Held   int     `json:"held"` // leases
	Leases []lease `json:"leases"`
}

type lease struct {
	Kind  consumer.Kind `json:"kind"`
	Name  string        `json:"consumer"`
	Topic string        `json:"topic,omitempty"`
	State string        `json:"state"` // "held", "released", "not renewed", "failed" or "paused"
	Until time.Time     `json:"until,omitzero"`
	Left  time.Duration `json:"-"`
	URL   string        `json:"-"`
}

func (h *Handler) nodes(ctx context.Context, _ *http.Request) (any, error) {
	n := &nodes{}
	leases, err := h.manager.Leases(ctx)
	if err != nil {
		return nil, err
	}
	if h.config.Consumers != nil {
		others, err := h.config.Consumers.Leases(ctx)
		if err != nil {
			n.Unread = inShort(err)
		}
		leases = append(leases, others...)
	}
	states := map[consumer.ID]consumer.State{}
	for _, s := range h.look(ctx).All {
		states[s.ID()] = s.State
	}
	byName := map[string]*node{}
	for _, l := range leases {
		of := byName[l.Node]
		if of == nil {
			of = &node{Name: l.Node}
			byName[l.Node] = of
		}
		shown := lease{Kind: l.ID.Kind, Name: l.ID.Name, Topic: l.ID.Topic, Until: l.Until, Left: l.Left, State: "released"}
		shown.URL, _ = query("consumer", "kind", l.ID.Kind, "name", l.ID.Name, "topic", l.ID.Topic)
		switch {
		case states[l.ID] == consumer.Failed || states[l.ID] == consumer.Paused: // its node lets go of it
			shown.State = string(states[l.ID])
		case l.Held:
			shown.State = "held"
			of.Held++
			n.Held++
		case !l.Until.IsZero():
			shown.State = "not renewed"
			n.Lost++
		}
		of.Leases = append(of.Leases, shown)
	}
	for _, of := range byName {
		n.Nodes = append(n.Nodes, *of)
	}
	slices.SortFunc(n.Nodes, func(a, b node) int { return cmp.Or(b.Held-a.Held, cmp.Compare(a.Name, b.Name)) })
	if h.inspector != nil {
		if n.Clients, err = h.inspector.Clients(ctx); err != nil {
			n.Problem = err.Error()
		}
	}
	return n, nil
}
