package query

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

// EventsOfBands returns, of each band that has some, the first dances of a period by
// date and start, or those after a cursor; at most [MaxFirst] of each band. What users
// ignore is not looked at.
func (r *Reader) EventsOfBands(ctx context.Context, ids []string, from, to domain.Date, first int, after string) (map[string]Page[Event], error) {
	return r.eventsOf(ctx, "band_id", ids, from, to, first, after)
}

// EventsOfDanceHalls is [Reader.EventsOfBands] for dance halls.
func (r *Reader) EventsOfDanceHalls(ctx context.Context, ids []string, from, to domain.Date, first int, after string) (map[string]Page[Event], error) {
	return r.eventsOf(ctx, "dance_hall_id", ids, from, to, first, after)
}

func (r *Reader) eventsOf(ctx context.Context, column string, ids []string, from, to domain.Date, first int, after string) (map[string]Page[Event], error) {
	const kind, order = "OF", "event_date, coalesce(start_time, '24:00'), id"
	switch f := (Filter{From: from, To: to}); {
	case f.validate() != nil:
		return nil, f.validate()
	case checkFirst(first) != nil:
		return nil, checkFirst(first)
	case len(ids) > MaxIDs:
		return nil, invalid("ids", "has %d values, the limit is %d", len(ids), MaxIDs)
	case checkIDs("ids", ids) != nil:
		return nil, checkIDs("ids", ids)
	}
	args := pgx.NamedArgs{"ids": ids, "from": string(from), "to": string(to), "first": first + 1}
	where := ""
	if after != "" {
		at, err := parseCursor[eventKey](kind, after)
		if err != nil {
			return nil, err
		}
		where = " AND (" + order + ") > (@after_date::date, @after_start::time, @after_id::text::uuid)"
		args["after_date"], args["after_start"], args["after_id"] = at.Date, at.Start, at.ID
	}
	rows, err := r.db.Query(ctx, `
		SELECT `+eventColumns+`
		FROM unnest(@ids::text[]::uuid[]) AS wanted (wanted_id)
		CROSS JOIN LATERAL (
			SELECT * FROM event
			WHERE `+column+` = wanted_id AND event_date BETWEEN @from::date AND @to::date`+where+`
			ORDER BY `+order+`
			LIMIT @first
		) e
		ORDER BY `+order, args)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, scanEvent)
	if err != nil {
		return nil, err
	}
	pages := map[string]Page[Event]{}
	for _, e := range found {
		id := e.BandID
		if column == "dance_hall_id" {
			id = e.DanceHallID
		}
		pages[id] = Page[Event]{Items: append(pages[id].Items, e)}
	}
	for id, page := range pages {
		pages[id] = page.cut(first, func(e Event) string { return cursor(kind, keyOf(e)) })
	}
	return pages, nil
}

// Dance is what a dance is found by, whether or not there is such a dance.
type Dance struct {
	Date        domain.Date
	BandID      string
	DanceHallID string
}

// Match tells of each dance whether the filter shows it, or would if there was such a
// dance: to know whether one that is gone was on show.
func (r *Reader) Match(ctx context.Context, f Filter, dances ...Dance) ([]bool, error) {
	if err := f.validate(); err != nil || len(dances) == 0 {
		return nil, err
	}
	with, args := f.sql()
	dates, bands, halls := []string{}, []string{}, []string{}
	for _, d := range dances {
		dates, bands, halls = append(dates, string(d.Date)), append(bands, d.BandID), append(halls, d.DanceHallID)
	}
	args["dates"], args["bands"], args["halls"] = dates, bands, halls
	// In this statement, event is what these dances would be.
	const event = `WITH event AS (
		SELECT event_date, band_id, dance_hall_id, NULL::uuid AS id, NULL::time AS start_time, NULL::time AS end_time, ''::text AS extra_info,
			NULL::timestamptz AS created, NULL::timestamptz AS updated, place
		FROM unnest(@dates::text[]::date[], @bands::text[]::uuid[], @halls::text[]::uuid[]) WITH ORDINALITY AS d (event_date, band_id, dance_hall_id, place)
	),`
	sql := event + strings.TrimPrefix(with, "WITH") + " SELECT place FROM dance WHERE in_area AND in_bands"
	if !f.Ignored {
		sql += " AND hidden IS NULL"
	}
	rows, err := r.db.Query(ctx, sql, args)
	if err != nil {
		return nil, err
	}
	matches := make([]bool, len(dances))
	var place int
	_, err = pgx.ForEachRow(rows, []any{&place}, func() error {
		matches[place-1] = true
		return nil
	})
	return matches, err
}
