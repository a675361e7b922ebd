package model

import (
	"context"
	"sync"

	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// EventConnection is a page of the dances of a filter. How all of them are spread is
// one more question, which is asked when somebody wants to know.
type EventConnection struct {
	Nodes    []*Event
	Edges    []*EventEdge
	PageInfo *PageInfo

	source *Source
	filter query.Filter
	total  *int // where the page came with it
	once   sync.Once
	spread query.Summary
	err    error
}

// EventPage asks for a page of dances.
func (s *Source) EventPage(ctx context.Context, f query.Filter, sort query.Sort, first int, after string) (*EventConnection, error) {
	page, err := s.Reader.Events(ctx, f, sort, first, after)
	if err != nil {
		return nil, err
	}
	c := &EventConnection{Nodes: s.Events(page.Items...), PageInfo: pageInfo(page, after != ""), source: s, filter: f}
	if !f.Ignored { // the hidden ones are counted apart
		c.total = page.Total
	}
	c.Edges = edges(c.Nodes, page.Cursors)
	return c, nil
}

func (c *EventConnection) summary(ctx context.Context) (query.Summary, error) {
	c.once.Do(func() { c.spread, c.err = c.source.Reader.Summary(ctx, c.filter) })
	return c.spread, c.err
}

// TotalCount counts the dances of all pages.
func (c *EventConnection) TotalCount(ctx context.Context) (int, error) {
	if c.total != nil {
		return *c.total, nil
	}
	spread, err := c.summary(ctx)
	return spread.Total, err
}

// HiddenCount counts those that the user ignores.
func (c *EventConnection) HiddenCount(ctx context.Context) (n int, err error) {
	spread, err := c.summary(ctx)
	for _, count := range spread.Hidden {
		n += count
	}
	return n, err
}

// Days counts the dances of each day.
func (c *EventConnection) Days(ctx context.Context) ([]*DayCount, error) {
	spread, err := c.summary(ctx)
	days := []*DayCount{}
	for _, day := range spread.Days {
		days = append(days, &DayCount{Date: Date(day.Date), Count: day.Count})
	}
	return days, err
}

// Facets counts the dances by area, band and hall.
func (c *EventConnection) Facets(ctx context.Context) (*EventFacets, error) {
	spread, err := c.summary(ctx)
	if err != nil {
		return nil, err
	}
	return facets(spread), nil
}
