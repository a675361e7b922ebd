package domain_test

import (
	"testing"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/eventsourcedtest"
)

func createBand(name string) func(*domain.Band) error {
	return func(b *domain.Band) error { return b.Create(domain.CreateBand{Name: name}) }
}

func TestCreateBand(t *testing.T) {
	t.Parallel()

	t.Run("a new band is created under its tidied name", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.Band](t).
			When(createBand("  Bo  Granz\torkester ")).
			Then(&domain.BandCreated{Name: "Bo Granz orkester"})
	})
	t.Run("creating a band that exists changes nothing", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"Bo Granz", "BO GRANZ", " bo  granz"} {
			eventsourcedtest.Given[domain.Band](t, &domain.BandCreated{Name: "Bo Granz"}).
				When(createBand(name)).
				Then()
		}
	})
	t.Run("a name that is none is refused", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"", "  ", "Ej fastställt", "EJ FASTSTÄLLT"} {
			for _, history := range [][]eventsourced.Event{nil, {&domain.BandCreated{Name: "Bo Granz"}}} {
				eventsourcedtest.Given[domain.Band](t, history...).
					When(createBand(name)).
					ThenError(domain.ErrInvalid)
			}
		}
	})
}
