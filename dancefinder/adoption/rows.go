package adoption

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// fact is an event to append: when it happened, and the table and id of the row that says so.
type fact struct {
	event eventsourced.Event
	at    time.Time
	from  string
}

var (
	errNoName     = errors.New("the name is empty: give the row one")
	errInfinite   = errors.New("a date is infinite")
	errYear       = errors.New("a date is not in the years 1 to 9999")
	errCoordinate = errors.New("a coordinate is not a number")
)

// timeOf returns when a row says that something happened.
func timeOf(t pgtype.Timestamptz) (time.Time, error) {
	switch {
	case t.InfinityModifier != pgtype.Finite:
		return time.Time{}, errInfinite
	case outOfRange(t.Time.UTC()):
		return time.Time{}, errYear
	}
	return t.Time.UTC(), nil
}

// dayOf returns a day as events have it.
func dayOf(d pgtype.Date) (string, error) {
	switch {
	case d.InfinityModifier != pgtype.Finite:
		return "", errInfinite
	case outOfRange(d.Time):
		return "", errYear
	}
	return d.Time.Format(time.DateOnly), nil
}

func outOfRange(t time.Time) bool { return t.Year() < 1 || t.Year() > 9999 }

// clockOf returns a time of day as events have it, with seconds only if there are any.
func clockOf(text *string) string {
	if text == nil {
		return ""
	}
	if minutes, ok := strings.CutSuffix(*text, ":00"); ok && len(minutes) == len("15:04") {
		return minutes
	}
	return *text
}

func checkCoordinate(latitude, longitude *float64) error {
	for _, degrees := range []*float64{latitude, longitude} {
		if degrees != nil && (math.IsNaN(*degrees) || math.IsInf(*degrees, 0)) {
			return errCoordinate
		}
	}
	return nil
}

func from(table, id string) string { return fmt.Sprintf("%s/%s", table, id) }
