package domain_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/eventsourcedtest"
)

const (
	bandID = "11111111-1111-5111-8111-11111111111a"
	hallID = "22222222-2222-5222-8222-22222222222b"
)

func details() domain.EventDetails {
	return domain.EventDetails{
		Date: "2026-07-04", StartTime: "21:00", EndTime: "01:00",
		BandID: bandID, DanceHallID: hallID,
		ExtraInfo: "Buggkurs 20:00", SourceURL: "https://example.org/dances",
	}
}

func eventCreated() *domain.EventCreated {
	return &domain.EventCreated{
		Date: "2026-07-04", StartTime: "21:00", EndTime: "01:00",
		BandID: bandID, DanceHallID: hallID,
		ExtraInfo: "Buggkurs 20:00", SourceURL: "https://example.org/dances",
	}
}

func eventUpdated() *domain.EventUpdated {
	updated := domain.EventUpdated(*eventCreated())
	updated.ExtraInfo = "Inställt"
	return &updated
}

// badDetails returns details that break one rule each, by the field at fault.
func badDetails() map[string]domain.EventDetails {
	bad := map[string]domain.EventDetails{}
	spoil := func(field string, f func(*domain.EventDetails)) {
		d := details()
		f(&d)
		bad[field] = d
	}
	spoil("date", func(d *domain.EventDetails) { d.Date = "2026-02-29" })
	spoil("startTime", func(d *domain.EventDetails) { d.StartTime = "24:00" })
	spoil("endTime", func(d *domain.EventDetails) { d.StartTime = "" })
	spoil("bandId", func(d *domain.EventDetails) { d.BandID = "" })
	spoil("danceHallId", func(d *domain.EventDetails) { d.DanceHallID = "Folkets Park" })
	spoil("extraInfo", func(d *domain.EventDetails) { d.ExtraInfo = strings.Repeat("å", 2001) })
	spoil("sourceUrl", func(d *domain.EventDetails) { d.SourceURL = "javascript:alert(1)" })
	return bad
}

func TestCreateEvent(t *testing.T) {
	t.Parallel()
	create := func(d domain.EventDetails) func(*domain.Event) error {
		return func(e *domain.Event) error { return e.Create(domain.CreateEvent{EventDetails: d}) }
	}

	t.Run("a new dance event is created with all its details", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.Event](t).When(create(details())).Then(eventCreated())
	})
	t.Run("details are tidied", func(t *testing.T) {
		t.Parallel()
		d := details()
		d.StartTime, d.EndTime, d.ExtraInfo = "9:00", "", "  Buggkurs\n20:00 "
		d.BandID = domain.BandID(strings.ToUpper(bandID))
		want := eventCreated()
		want.StartTime, want.EndTime = "09:00", ""
		eventsourcedtest.Given[domain.Event](t).When(create(d)).Then(want)
	})
	t.Run("date, band and hall are enough", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.Event](t).
			When(create(domain.EventDetails{Date: "2026-07-04", BandID: bandID, DanceHallID: hallID})).
			Then(&domain.EventCreated{Date: "2026-07-04", BandID: bandID, DanceHallID: hallID})
	})
	t.Run("creating the same again changes nothing", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.Event](t, eventCreated()).When(create(details())).Then()
	})
	t.Run("creating another one in its place is refused", func(t *testing.T) {
		t.Parallel()
		d := details()
		d.StartTime = "20:00"
		eventsourcedtest.Given[domain.Event](t, eventCreated()).When(create(d)).ThenError(domain.ErrEventExists)
		eventsourcedtest.Given[domain.Event](t, eventCreated(), eventUpdated()).When(create(details())).ThenError(domain.ErrEventExists)
	})
	t.Run("a deleted one is not created again", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.Event](t, eventCreated(), &domain.EventDeleted{}).
			When(create(details())).
			ThenError(domain.ErrEventDeleted)
	})
	t.Run("bad details are refused with the field at fault", func(t *testing.T) {
		t.Parallel()
		for field, d := range badDetails() {
			eventsourcedtest.Given[domain.Event](t).When(create(d)).ThenError(domain.ErrInvalid)
			requireField(t, new(domain.Event).Create(domain.CreateEvent{EventDetails: d}), field)
		}
	})
}

func TestUpdateEvent(t *testing.T) {
	t.Parallel()
	update := func(d domain.EventDetails, expected eventsourced.Version) func(*domain.Event) error {
		return func(e *domain.Event) error {
			return e.Update(domain.UpdateEvent{EventDetails: d, ExpectedVersion: expected})
		}
	}
	changed := details()
	changed.ExtraInfo = "Inställt"

	t.Run("an update records all details", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.Event](t, eventCreated()).When(update(changed, 0)).Then(eventUpdated())
	})
	t.Run("an update may take everything back that is not needed", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.Event](t, eventCreated()).
			When(update(domain.EventDetails{Date: "2026-07-05", BandID: bandID, DanceHallID: hallID}, 0)).
			Then(&domain.EventUpdated{Date: "2026-07-05", BandID: bandID, DanceHallID: hallID})
	})
	t.Run("an update without a change records nothing", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.Event](t, eventCreated()).When(update(details(), 0)).Then()
		eventsourcedtest.Given[domain.Event](t, eventCreated(), eventUpdated()).When(update(changed, 0)).Then()
	})
	t.Run("an update of the expected version is recorded", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.Event](t, eventCreated()).When(update(changed, 1)).Then(eventUpdated())
	})
	t.Run("an update made for another version is refused", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.Event](t, eventCreated(), eventUpdated()).
			When(update(details(), 1)).
			ThenError(domain.ErrEventChanged)
	})
	t.Run("an update repeated for its old version changes nothing", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.Event](t, eventCreated(), eventUpdated()).When(update(changed, 1)).Then()
	})
	t.Run("what was never created is not updated", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.Event](t).When(update(changed, 0)).ThenError(domain.ErrEventNotFound)
	})
	t.Run("what was deleted is not updated, not even to what it was", func(t *testing.T) {
		t.Parallel()
		for _, d := range []domain.EventDetails{details(), changed} {
			eventsourcedtest.Given[domain.Event](t, eventCreated(), &domain.EventDeleted{}).
				When(update(d, 0)).
				ThenError(domain.ErrEventDeleted)
		}
	})
	t.Run("bad details are refused with the field at fault", func(t *testing.T) {
		t.Parallel()
		for field, d := range badDetails() {
			eventsourcedtest.Given[domain.Event](t, eventCreated()).When(update(d, 0)).ThenError(domain.ErrInvalid)
			requireField(t, new(domain.Event).Update(domain.UpdateEvent{EventDetails: d}), field)
		}
	})
}

func TestDeleteEvent(t *testing.T) {
	t.Parallel()
	deleteFor := func(reason string) func(*domain.Event) error {
		return func(e *domain.Event) error { return e.Delete(domain.DeleteEvent{Reason: reason}) }
	}

	t.Run("a dance event is deleted with a reason", func(t *testing.T) {
		t.Parallel()
		scenario := eventsourcedtest.Given[domain.Event](t, eventCreated()).When(deleteFor(" Inställt "))
		scenario.Then(&domain.EventDeleted{Reason: "Inställt"})
		require.True(t, scenario.Aggregate().Deleted())
		require.Equal(t, details(), scenario.Aggregate().Details())
	})
	t.Run("a reason is not needed", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.Event](t, eventCreated()).When(deleteFor("")).Then(&domain.EventDeleted{})
	})
	t.Run("deleting again changes nothing", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.Event](t, eventCreated(), &domain.EventDeleted{Reason: "Inställt"}).
			When(deleteFor("Dubblett")).
			Then()
	})
	t.Run("what was never created is not deleted", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.Event](t).When(deleteFor("Inställt")).ThenError(domain.ErrEventNotFound)
	})
	t.Run("a reason that is too long is refused", func(t *testing.T) {
		t.Parallel()
		eventsourcedtest.Given[domain.Event](t, eventCreated()).
			When(deleteFor(strings.Repeat("x", 201))).
			ThenError(domain.ErrInvalid)
	})
}

// requireField fails the test unless err is a refusal about field.
func requireField(t *testing.T, err error, field string) {
	t.Helper()
	var refusal *domain.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, field, refusal.Field, refusal.Message)
}
