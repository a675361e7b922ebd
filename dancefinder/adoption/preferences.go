package adoption

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// preference is a row of one of the six tables of preferences.
type preference struct {
	Subject, Table, ID  string
	Value               string // the id of a band or hall, otherwise a text
	Name                string // of the band or hall, for people; empty when it is gone
	Latitude, Longitude *float64
	Created             pgtype.Timestamptz
}

// preferencesQuery returns those of the next subjects, compared byte by byte, as two
// spellings of a subject are two.
const preferencesQuery = `
	WITH preference AS (
		SELECT subject, 'origin' AS kind, id::text, origin, '', latitude, longitude, created FROM origin
		UNION ALL SELECT subject, 'ignored_band', i.id::text, i.band_id::text, coalesce(b.name, ''), NULL, NULL, i.created
			FROM ignored_band i LEFT JOIN band b ON b.id = i.band_id
		UNION ALL SELECT subject, 'ignored_dance_hall', i.id::text, i.dance_hall_id::text, coalesce(h.name, ''), NULL, NULL, i.created
			FROM ignored_dance_hall i LEFT JOIN dance_hall h ON h.id = i.dance_hall_id
		UNION ALL SELECT subject, 'ignored_city', id::text, city, '', NULL, NULL, created FROM ignored_city
		UNION ALL SELECT subject, 'ignored_municipality', id::text, municipality, '', NULL, NULL, created FROM ignored_municipality
		UNION ALL SELECT subject, 'ignored_state', id::text, state, '', NULL, NULL, created FROM ignored_state
	), next AS (
		SELECT DISTINCT subject COLLATE "C" AS subject FROM preference WHERE $1::text IS NULL OR subject COLLATE "C" > $1 ORDER BY 1 LIMIT $2
	)
	SELECT preference.* FROM preference JOIN next USING (subject) ORDER BY subject COLLATE "C", created, kind, id`

// subjectsAtOnce is the preferences of how many users are held in memory.
const subjectsAtOnce = 500

func (r *run) preferences(ctx context.Context) error {
	return together(ctx, func(ctx context.Context, work func(func() error)) error {
		for after := (*string)(nil); ; {
			rows, err := r.pool.Query(ctx, preferencesQuery, after, subjectsAtOnce)
			if err != nil {
				return err
			}
			all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[preference])
			if err != nil || len(all) == 0 {
				return err
			}
			after = &all[len(all)-1].Subject
			for len(all) > 0 {
				n := slices.IndexFunc(all, func(p preference) bool { return p.Subject != all[0].Subject })
				if n < 0 {
					n = len(all)
				}
				of := all[:n]
				all = all[n:]
				work(func() error { return r.subject(ctx, of) })
			}
		}
	})
}

// subject adopts one user's preferences. The user may have chosen something already since there
// are events: what their stream has had is known, also if it was taken back.
func (r *run) subject(ctx context.Context, all []preference) error {
	stream := eventsourced.Stream{
		AggregateName: domain.AggregateUserPreferences,
		AggregateID:   string(domain.UserPreferencesIDFor(domain.Subject(all[0].Subject))),
	}
	had, err := r.had(ctx, stream)
	if err != nil {
		return err
	}
	var rows []preference
	var facts []fact
	for _, p := range all {
		switch at, err := timeOf(p.Created); {
		case had[[2]string{p.Table, p.Value}], p.Table == "ignored_band" && p.Name != "" && had[[2]string{p.Table, domain.Key(p.Name)}]:
			r.count(p.Table, known)
		case errors.Join(err, checkCoordinate(p.Latitude, p.Longitude)) != nil:
			r.refuse(p.Table, p.ID, errors.Join(err, checkCoordinate(p.Latitude, p.Longitude)))
		default:
			rows = append(rows, p)
			facts = append(facts, fact{p.event(), at, from(p.Table, p.ID)})
		}
	}
	for chunk := range slices.Chunk(facts, eventsourced.MaxEvents) {
		of := rows[:len(chunk)]
		rows = rows[len(chunk):]
		if err := r.append(ctx, stream, eventsourced.Any, chunk...); err != nil {
			return err
		}
		for _, p := range of {
			r.count(p.Table, adopted)
		}
	}
	return nil
}

// had returns what a user has ever chosen, by table and value. An event that only named its
// band is found by the name's key.
func (r *run) had(ctx context.Context, stream eventsourced.Stream) (map[[2]string]bool, error) {
	had := map[[2]string]bool{}
	for recorded, err := range r.store.ReadStream(ctx, stream, 0) {
		if err != nil {
			return nil, err
		}
		events, err := r.store.Registry().Decode(ctx, recorded)
		if err != nil {
			return nil, err
		}
		for _, event := range events {
			switch e := event.(type) {
			case *domain.OriginAdded:
				had[[2]string{"origin", e.Origin}] = true
			case *domain.BandIgnored:
				had[[2]string{"ignored_band", e.BandID}] = true
				if recorded.SchemaVersion == 1 {
					had[[2]string{"ignored_band", domain.Key(e.BandName)}] = true
				}
			case *domain.DanceHallIgnored:
				had[[2]string{"ignored_dance_hall", e.DanceHallID}] = true
			case *domain.CityIgnored:
				had[[2]string{"ignored_city", e.City}] = true
			case *domain.MunicipalityIgnored:
				had[[2]string{"ignored_municipality", e.Municipality}] = true
			case *domain.StateIgnored:
				had[[2]string{"ignored_state", e.State}] = true
			}
		}
	}
	return had, nil
}

func (p preference) event() eventsourced.Event {
	switch p.Table {
	case "origin":
		return &domain.OriginAdded{Subject: p.Subject, Origin: p.Value, Latitude: p.Latitude, Longitude: p.Longitude, RowID: p.ID}
	case "ignored_band":
		return &domain.BandIgnored{Subject: p.Subject, BandID: p.Value, BandName: p.Name, RowID: p.ID}
	case "ignored_dance_hall":
		return &domain.DanceHallIgnored{Subject: p.Subject, DanceHallID: p.Value, DanceHallName: p.Name, RowID: p.ID}
	case "ignored_city":
		return &domain.CityIgnored{Subject: p.Subject, City: p.Value, RowID: p.ID}
	case "ignored_municipality":
		return &domain.MunicipalityIgnored{Subject: p.Subject, Municipality: p.Value, RowID: p.ID}
	default:
		return &domain.StateIgnored{Subject: p.Subject, State: p.Value, RowID: p.ID}
	}
}
