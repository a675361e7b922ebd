package domain_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/eventsourcedtest"
)

const subject = "auth0|7f3a"

type onPreferences = func(*domain.UserPreferences) error

func TestOrigins(t *testing.T) {
	t.Parallel()
	add := func(origin string, at *domain.Coordinate) onPreferences {
		return func(p *domain.UserPreferences) error {
			return p.Prefer(domain.AddOrigin{Subject: subject, Origin: origin, Coordinate: at})
		}
	}
	remove := func(origin string) onPreferences {
		return func(p *domain.UserPreferences) error {
			return p.Prefer(domain.RemoveOrigin{Subject: subject, Origin: origin})
		}
	}
	added := func(origin string) *domain.OriginAdded {
		return &domain.OriginAdded{Subject: subject, Origin: origin}
	}
	full := func() (events []eventsourced.Event) {
		for i := range domain.MaxOrigins {
			events = append(events, added(fmt.Sprintf("Ort %d", i)))
		}
		return events
	}

	t.Run("an origin is added without a coordinate", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.UserPreferences](t).When(add(" Örebro ", nil)).Then(added("Örebro"))
	})
	t.Run("an origin is added with a coordinate of five decimals", func(t *testing.T) {
		t.Parallel()
		latitude, longitude := 59.27412, 15.2066
		eventsourcedtest.Given[domain.UserPreferences](t).
			When(add("Örebro", &domain.Coordinate{Latitude: 59.274118, Longitude: 15.206604})).
			Then(&domain.OriginAdded{Subject: subject, Origin: "Örebro", Latitude: &latitude, Longitude: &longitude})
	})
	t.Run("adding an origin again changes nothing", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.UserPreferences](t, added("Örebro")).When(add("ÖREBRO", nil)).Then()
	})
	t.Run("a removed origin is added again", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.UserPreferences](t, added("Örebro"), &domain.OriginRemoved{Subject: subject, Origin: "Örebro"}).
			When(add("Örebro", nil)).
			Then(added("Örebro"))
	})
	t.Run("removing an origin records the spelling that was added", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.UserPreferences](t, added("Örebro")).
			When(remove("öREBRO")).
			Then(&domain.OriginRemoved{Subject: subject, Origin: "Örebro"})
	})
	t.Run("removing an origin that is not there changes nothing", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.UserPreferences](t).When(remove("Örebro")).Then()
	})
	t.Run("an origin beyond the limit is refused", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.UserPreferences](t, full()[1:]...).When(add("Örebro", nil)).Then(added("Örebro"))
		eventsourcedtest.Given[domain.UserPreferences](t, full()...).When(add("Örebro", nil)).ThenError(domain.ErrTooManyOrigins)
	})
	t.Run("at the limit adding an origin again changes nothing", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.UserPreferences](t, full()...).When(add("Ort 7", nil)).Then()
	})
	t.Run("an origin or a coordinate that is none is refused", func(t *testing.T) {
		t.Parallel()
		for _, act := range []onPreferences{
			add("", nil),
			add(strings.Repeat("x", 201), nil),
			add("Örebro", &domain.Coordinate{}),
			add("Örebro", &domain.Coordinate{Latitude: math.Inf(1)}),
			remove(" "),
		} {
			eventsourcedtest.Given[domain.UserPreferences](t).When(act).ThenError(domain.ErrInvalid)
		}
	})
	t.Run("preferences without a subject are refused", func(t *testing.T) {
		t.Parallel()
		for _, act := range []onPreferences{
			func(p *domain.UserPreferences) error { return p.Prefer(domain.AddOrigin{Origin: "Örebro"}) },
			func(p *domain.UserPreferences) error { return p.Prefer(domain.RemoveOrigin{Origin: "Örebro"}) },
			func(p *domain.UserPreferences) error { return p.Prefer(domain.IgnoreCity{City: "Örebro"}) },
			func(p *domain.UserPreferences) error { return p.Prefer(domain.UnignoreCity{City: "Örebro"}) },
		} {
			eventsourcedtest.Given[domain.UserPreferences](t).When(act).ThenError(domain.ErrInvalid)
		}
	})
}
