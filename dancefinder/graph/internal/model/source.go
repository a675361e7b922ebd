package model

import (
	"context"
	"sync"

	"github.com/dancefinder/eventsourcing/dancefinder/identity"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// Source is where one field of the root gets its answer from, and for whom. What it has
// found out it keeps, so it is made anew for each such field.
type Source struct {
	Reader *query.Reader
	User   *identity.User // nil when nobody is logged in

	once        sync.Once
	preferences query.Preferences
	err         error
}

// Subject is the user's, "" when nobody is logged in.
func (s *Source) Subject() string {
	if s.User == nil {
		return ""
	}
	return s.User.Subject
}

// chosen returns what the user has chosen, nothing when nobody is logged in.
func (s *Source) chosen(ctx context.Context) (query.Preferences, error) {
	if s.User == nil {
		return query.Preferences{}, nil
	}
	s.once.Do(func() { s.preferences, s.err = s.Reader.Preferences(ctx, s.User.Subject) })
	return s.preferences, s.err
}

func (s *Source) ignores(ctx context.Context, list func(query.Preferences) []query.Named, id string) (bool, error) {
	chosen, err := s.chosen(ctx)
	if err != nil {
		return false, err
	}
	for _, named := range list(chosen) {
		if named.ID == id {
			return true, nil
		}
	}
	return false, nil
}

func pageInfo[T any](p query.Page[T], after bool) *PageInfo {
	info := &PageInfo{HasNextPage: p.More, HasPreviousPage: after}
	if n := len(p.Cursors); n > 0 {
		info.StartCursor, info.EndCursor = &p.Cursors[0], &p.Cursors[n-1]
	}
	return info
}

// known returns a pointer to s, nil to nothing.
func known[S ~string](s S) *S {
	if s == "" {
		return nil
	}
	return &s
}
