package query

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

const eventColumns = `id::text, event_date::text, coalesce(to_char(start_time, 'HH24:MI'), ''), coalesce(to_char(end_time, 'HH24:MI'), ''),
	extra_info, band_id::text, dance_hall_id::text, created, updated`

// Where a dance stands in each order. What is not known comes last.
var sortKeys = map[Sort]string{
	ByDate:     "event_date, coalesce(start_time, '24:00'), coalesce(km, 'Infinity'), id",
	ByDistance: "coalesce(km, 'Infinity'), event_date, coalesce(start_time, '24:00'), id",
}

// Events returns the first dances of the filter in the order of sort, or those after
// a cursor that an answer of the same order has had; at most [MaxFirst]. When dances
// change meanwhile, each is where it belongs at the time of the answer: none comes
// twice or is missing but those that changed. The first page has the total.
func (r *Reader) Events(ctx context.Context, f Filter, sort Sort, first int, after string) (page Page[Event], err error) {
	key, known := sortKeys[sort]
	switch {
	case !known:
		return page, invalid("sort", "%.40q is not an order", string(sort))
	case f.validate() != nil:
		return page, f.validate()
	case checkFirst(first) != nil:
		return page, checkFirst(first)
	}
	with, args := f.sql()
	total := "NULL::bigint"
	if after == "" {
		total = "count(*) OVER ()" // all of them are looked at anyway
	}
	sql := with + `
		SELECT ` + eventColumns + `, km, coalesce(near, ''), coalesce(hidden, ''), ` + total + `
		FROM dance
		WHERE in_area AND in_bands`
	if !f.Ignored {
		sql += ` AND hidden IS NULL`
	}
	if after != "" {
		at, err := parseCursor[eventKey](string(sort), after)
		if err != nil {
			return page, err
		}
		sql += " AND (" + key + ") > " + at.place(sort)
		args["after_date"], args["after_start"], args["after_km"], args["after_id"] = at.Date, at.Start, at.Km, at.ID
		if sort == ByDate {
			args["from"] = max(at.Date, string(f.From)) // and the index is used from there
		}
	}
	args["first"] = first + 1
	rows, err := r.db.Query(ctx, sql+" ORDER BY "+key+" LIMIT @first", args)
	if err != nil {
		return page, err
	}
	if after == "" {
		page.Total = new(int)
	}
	page.Items, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e Event, err error) {
		err = row.Scan(append(e.columns(), &e.Km, &e.Near, (*string)(&e.Hidden), &page.Total)...)
		return e, err
	})
	return page.cut(first, func(e Event) string { return cursor(string(sort), keyOf(e)) }), err
}

// eventKey is where a dance stands, in both orders.
type eventKey struct {
	Date  string  `json:"d"`
	Start string  `json:"s"`
	Km    float64 `json:"k"` // -1 when it is not known
	ID    string  `json:"i"`
}

func keyOf(e Event) eventKey {
	key := eventKey{Date: string(e.Date), Start: string(e.Times.Start), Km: -1, ID: e.ID}
	if e.Km != nil {
		key.Km = *e.Km
	}
	if key.Start == "" {
		key.Start = "24:00"
	}
	return key
}

// valid tells whether the key can be compared with.
func (k eventKey) valid() bool {
	_, dateErr := time.Parse(time.DateOnly, k.Date)
	_, startErr := time.Parse("15:04", k.Start)
	return dateErr == nil && (startErr == nil || k.Start == "24:00") && checkIDs("after", []string{k.ID}) == nil
}

func (k eventKey) place(sort Sort) string {
	const km = "CASE WHEN @after_km::float8 < 0 THEN 'Infinity'::float8 ELSE @after_km::float8 END"
	if sort == ByDistance {
		return "(" + km + ", @after_date::date, @after_start::time, @after_id::text::uuid)"
	}
	return "(@after_date::date, @after_start::time, " + km + ", @after_id::text::uuid)"
}

// EventsByID returns those of the dances that there are.
func (r *Reader) EventsByID(ctx context.Context, ids ...string) (map[string]Event, error) {
	return byID(ctx, r, "SELECT "+eventColumns+" FROM event", scanEvent, func(e Event) string { return e.ID }, ids)
}

func (e *Event) columns() []any {
	return []any{&e.ID, (*string)(&e.Date), (*string)(&e.Times.Start), (*string)(&e.Times.End), &e.Extra, &e.BandID, &e.DanceHallID, &e.Created, &e.Updated}
}

func scanEvent(row pgx.CollectableRow) (e Event, err error) {
	return e, row.Scan(e.columns()...)
}

// coordinate returns where something is, nil when that is not known.
func coordinate(latitude, longitude *float64) *domain.Coordinate {
	if latitude == nil || longitude == nil {
		return nil
	}
	return &domain.Coordinate{Latitude: *latitude, Longitude: *longitude}
}
