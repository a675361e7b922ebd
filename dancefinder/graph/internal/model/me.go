package model

import (
	"context"

	"github.com/dancefinder/eventsourcing/dancefinder/identity"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// Me is who asks.
type Me struct {
	Subject               string
	Roles                 []string
	Origins               []*Origin
	IgnoredBands          []*IgnoredBand
	IgnoredDanceHalls     []*IgnoredDanceHall
	IgnoredCities         []string
	IgnoredMunicipalities []string
	IgnoredStates         []string
}

// Me returns the user with what they have chosen, nil when nobody is logged in.
func (s *Source) Me(ctx context.Context) (*Me, error) {
	if s.User == nil {
		return nil, nil
	}
	chosen, err := s.chosen(ctx)
	if err != nil {
		return nil, err
	}
	return newMe(*s.User, chosen), nil
}

func newMe(user identity.User, chosen query.Preferences) *Me {
	me := &Me{
		Subject: user.Subject, Roles: append([]string{}, user.Roles...),
		Origins: []*Origin{}, IgnoredBands: []*IgnoredBand{}, IgnoredDanceHalls: []*IgnoredDanceHall{},
		IgnoredCities:         append([]string{}, chosen.Cities...),
		IgnoredMunicipalities: append([]string{}, chosen.Municipalities...),
		IgnoredStates:         append([]string{}, chosen.States...),
	}
	for _, o := range chosen.Origins {
		me.Origins = append(me.Origins, &Origin{Name: o.Name, Coordinate: o.At})
	}
	for _, b := range chosen.Bands {
		me.IgnoredBands = append(me.IgnoredBands, &IgnoredBand{ID: b.ID, Name: known(b.Name)})
	}
	for _, h := range chosen.DanceHalls {
		me.IgnoredDanceHalls = append(me.IgnoredDanceHalls, &IgnoredDanceHall{ID: h.ID, Name: known(h.Name)})
	}
	return me
}
