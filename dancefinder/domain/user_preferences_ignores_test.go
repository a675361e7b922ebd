package domain_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/eventsourcedtest"
)

// ignoring is what the tests need to know of one kind of things to ignore. value
// is a valid one, same another spelling of it, bad one that is refused, and
// nth makes as many as one likes.
type ignoring struct {
	value, same, bad   string
	ignore, unignore   func(value string) onPreferences
	ignored, unignored func(value string) eventsourced.Event
	nth                func(int) string
	stored             string // value as the events carry it
}

func ignorings() map[string]ignoring {
	const name = "Namnet"
	nthID := func(i int) string { return fmt.Sprintf("00000000-0000-5000-8000-%012d", i+1) }
	nthText := func(i int) string { return fmt.Sprintf("Plats %d", i) }
	return map[string]ignoring{
		"band": {
			value: bandID, same: strings.ToUpper(bandID), bad: "Bo Granz", nth: nthID, stored: bandID,
			ignore: func(v string) onPreferences {
				return func(p *domain.UserPreferences) error {
					return p.Prefer(domain.IgnoreBand{Subject: subject, BandID: domain.BandID(v), BandName: name})
				}
			},
			unignore: func(v string) onPreferences {
				return func(p *domain.UserPreferences) error {
					return p.Prefer(domain.UnignoreBand{Subject: subject, BandID: domain.BandID(v)})
				}
			},
			ignored: func(v string) eventsourced.Event {
				return &domain.BandIgnored{Subject: subject, BandID: v, BandName: name}
			},
			unignored: func(v string) eventsourced.Event {
				return &domain.BandUnignored{Subject: subject, BandID: v, BandName: name}
			},
		},
		"dance hall": {
			value: hallID, same: strings.ToUpper(hallID), bad: "", nth: nthID, stored: hallID,
			ignore: func(v string) onPreferences {
				return func(p *domain.UserPreferences) error {
					return p.Prefer(domain.IgnoreDanceHall{Subject: subject, DanceHallID: domain.DanceHallID(v), DanceHallName: name})
				}
			},
			unignore: func(v string) onPreferences {
				return func(p *domain.UserPreferences) error {
					return p.Prefer(domain.UnignoreDanceHall{Subject: subject, DanceHallID: domain.DanceHallID(v)})
				}
			},
			ignored: func(v string) eventsourced.Event {
				return &domain.DanceHallIgnored{Subject: subject, DanceHallID: v, DanceHallName: name}
			},
			unignored: func(v string) eventsourced.Event {
				return &domain.DanceHallUnignored{Subject: subject, DanceHallID: v, DanceHallName: name}
			},
		},
		"city": {
			value: " Örebro", same: "örebro", bad: " ", nth: nthText, stored: "Örebro",
			ignore: func(v string) onPreferences {
				return func(p *domain.UserPreferences) error {
					return p.Prefer(domain.IgnoreCity{Subject: subject, City: v})
				}
			},
			unignore: func(v string) onPreferences {
				return func(p *domain.UserPreferences) error {
					return p.Prefer(domain.UnignoreCity{Subject: subject, City: v})
				}
			},
			ignored: func(v string) eventsourced.Event { return &domain.CityIgnored{Subject: subject, City: v} },
			unignored: func(v string) eventsourced.Event {
				return &domain.CityUnignored{Subject: subject, City: v}
			},
		},
		"municipality": {
			value: "Upplands-Bro", same: "UPPLANDS-BRO ", bad: strings.Repeat("x", 101), nth: nthText, stored: "Upplands-Bro",
			ignore: func(v string) onPreferences {
				return func(p *domain.UserPreferences) error {
					return p.Prefer(domain.IgnoreMunicipality{Subject: subject, Municipality: v})
				}
			},
			unignore: func(v string) onPreferences {
				return func(p *domain.UserPreferences) error {
					return p.Prefer(domain.UnignoreMunicipality{Subject: subject, Municipality: v})
				}
			},
			ignored: func(v string) eventsourced.Event {
				return &domain.MunicipalityIgnored{Subject: subject, Municipality: v}
			},
			unignored: func(v string) eventsourced.Event {
				return &domain.MunicipalityUnignored{Subject: subject, Municipality: v}
			},
		},
		"state": {
			value: "västra götalands län", same: "Västra Götaland", bad: "Sveriges län", nth: nthText, stored: "Västra Götaland",
			ignore: func(v string) onPreferences {
				return func(p *domain.UserPreferences) error {
					return p.Prefer(domain.IgnoreState{Subject: subject, State: v})
				}
			},
			unignore: func(v string) onPreferences {
				return func(p *domain.UserPreferences) error {
					return p.Prefer(domain.UnignoreState{Subject: subject, State: v})
				}
			},
			ignored: func(v string) eventsourced.Event { return &domain.StateIgnored{Subject: subject, State: v} },
			unignored: func(v string) eventsourced.Event {
				return &domain.StateUnignored{Subject: subject, State: v}
			},
		},
	}
}

func TestIgnores(t *testing.T) {
	t.Parallel()
	for kind, k := range ignorings() {
		t.Run("a "+kind+" is ignored", func(t *testing.T) {
			t.Parallel()
			eventsourcedtest.Given[domain.UserPreferences](t).When(k.ignore(k.value)).Then(k.ignored(k.stored))
		})
		t.Run("ignoring a "+kind+" again changes nothing", func(t *testing.T) {
			t.Parallel()
			eventsourcedtest.Given[domain.UserPreferences](t, k.ignored(k.stored)).When(k.ignore(k.same)).Then()
		})
		t.Run("an ignored "+kind+" is seen again, under the value that was stored", func(t *testing.T) {
			t.Parallel()
			eventsourcedtest.Given[domain.UserPreferences](t, k.ignored(k.stored)).
				When(k.unignore(k.same)).
				Then(k.unignored(k.stored))
		})
		t.Run("a "+kind+" that is not ignored stays seen", func(t *testing.T) {
			t.Parallel()
			eventsourcedtest.Given[domain.UserPreferences](t).When(k.unignore(k.value)).Then()
			eventsourcedtest.Given[domain.UserPreferences](t, k.ignored(k.stored), k.unignored(k.stored)).
				When(k.unignore(k.value)).
				Then()
		})
		t.Run("a "+kind+" that is seen again can be ignored again", func(t *testing.T) {
			t.Parallel()
			eventsourcedtest.Given[domain.UserPreferences](t, k.ignored(k.stored), k.unignored(k.stored)).
				When(k.ignore(k.value)).
				Then(k.ignored(k.stored))
		})
		t.Run("what is no "+kind+" is refused", func(t *testing.T) {
			t.Parallel()
			eventsourcedtest.Given[domain.UserPreferences](t).When(k.ignore(k.bad)).ThenError(domain.ErrInvalid)
			eventsourcedtest.Given[domain.UserPreferences](t).When(k.unignore(k.bad)).ThenError(domain.ErrInvalid)
		})
		t.Run("one "+kind+" beyond the limit is refused, one of another kind is not", func(t *testing.T) {
			t.Parallel()
			full := func() (events []eventsourced.Event) {
				for i := range domain.MaxIgnores {
					events = append(events, k.ignored(k.nth(i)))
				}
				return events
			}
			eventsourcedtest.Given[domain.UserPreferences](t, full()...).When(k.ignore(k.value)).ThenError(domain.ErrTooManyIgnores)
			eventsourcedtest.Given[domain.UserPreferences](t, full()...).When(k.ignore(k.nth(4711))).Then()
			eventsourcedtest.Given[domain.UserPreferences](t, full()[1:]...).When(k.ignore(k.value)).Then(k.ignored(k.stored))
			for other, o := range ignorings() {
				if other != kind {
					eventsourcedtest.Given[domain.UserPreferences](t, full()...).When(o.ignore(o.value)).Then(o.ignored(o.stored))
				}
			}
		})
	}
}
