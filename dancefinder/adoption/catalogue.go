package adoption

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// named is a band or a hall.
type named struct {
	table    string
	stream   eventsourced.Stream
	known    bool
	taker    eventsourced.Stream // whose id is derived from the name
	taken    eventsourced.Event  // says there whose it is; nil for a name that nobody can ask for
	facts    []fact
	unusable error
}

func (r *run) bands(ctx context.Context) error {
	rows, err := r.pool.Query(ctx, `SELECT id::text, name, created,
			EXISTS (SELECT FROM events WHERE aggregate_name = $1 AND aggregate_id = band.id::text)
		FROM band ORDER BY created, id`, domain.AggregateBand)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (named, error) {
		var id, name string
		var created pgtype.Timestamptz
		n := named{table: "band"}
		if err := row.Scan(&id, &name, &created, &n.known); err != nil {
			return n, err
		}
		at, err := timeOf(created)
		n.unusable = errors.Join(err, checkName(name))
		n.stream = eventsourced.Stream{AggregateName: domain.AggregateBand, AggregateID: id}
		n.facts = []fact{{&domain.BandCreated{Name: name}, at, from("band", id)}}
		n.taker = n.stream
		if parsed, err := domain.ParseBandName(name); err == nil {
			n.taker.AggregateID = string(domain.BandIDFor(parsed))
			n.taken = &domain.BandNameTaken{BandID: id}
		}
		return n, nil
	})
	if err != nil {
		return err
	}
	return r.named(ctx, all)
}

func (r *run) halls(ctx context.Context) error {
	rows, err := r.pool.Query(ctx, `SELECT id::text, name, city, municipality, state, latitude, longitude, created,
			EXISTS (SELECT FROM events WHERE aggregate_name = $1 AND aggregate_id = dance_hall.id::text)
		FROM dance_hall ORDER BY created, id`, domain.AggregateDanceHall)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, scanHall)
	if err != nil {
		return err
	}
	return r.named(ctx, all)
}

// scanHall reads a hall. Nobody knows how its coordinate was found: it is kept to the last
// digit, and no geocoder replaces it.
func scanHall(row pgx.CollectableRow) (named, error) {
	var id string
	var hall domain.DanceHallCreated
	var latitude, longitude *float64
	var created pgtype.Timestamptz
	n := named{table: "dance_hall"}
	err := row.Scan(&id, &hall.Name, &hall.City, &hall.Municipality, &hall.State, &latitude, &longitude, &created, &n.known)
	if err != nil {
		return n, err
	}
	at, err := timeOf(created)
	n.unusable = errors.Join(err, checkName(hall.Name), checkCoordinate(latitude, longitude))
	n.stream = eventsourced.Stream{AggregateName: domain.AggregateDanceHall, AggregateID: id}
	n.facts = []fact{{&hall, at, from("dance_hall", id)}}
	if latitude != nil && longitude != nil {
		n.facts = append(n.facts, fact{&domain.DanceHallGeocoded{
			Latitude: *latitude, Longitude: *longitude, Source: string(domain.SourceLegacy),
		}, at, from("dance_hall", id)})
	}
	n.taker = n.stream
	name, err := domain.ParseHallName(hall.Name)
	if err != nil {
		return n, nil //nolint:nilerr // nobody can ask for such a name
	}
	if place, err := domain.NewPlace(hall.City, hall.Municipality, hall.State); err == nil {
		n.taker.AggregateID = string(domain.DanceHallIDFor(name, place))
		n.taken = &domain.DanceHallNameTaken{DanceHallID: id}
	}
	return n, nil
}

// checkName refuses what the domain takes for a band, or hall, that does not exist.
func checkName(name string) error {
	if name == "" {
		return errNoName
	}
	return nil
}

// named adopts bands or halls, those that share a name one after the other: the first one
// takes it.
func (r *run) named(ctx context.Context, all []named) error {
	groups := map[string][]named{}
	var order []string
	for _, n := range all {
		key := n.taker.AggregateID
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], n)
	}
	return together(ctx, func(ctx context.Context, work func(func() error)) error {
		for _, key := range order {
			work(func() error {
				for _, n := range groups[key] {
					if err := r.adoptNamed(ctx, n); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return nil
	})
}

// adoptNamed has the name taken first: whoever creates a band by it meets this one, also if this
// is the last that happens for now.
func (r *run) adoptNamed(ctx context.Context, n named) error {
	switch {
	case n.known:
		r.count(n.table, known)
		return nil
	case n.unusable != nil:
		r.refuse(n.table, n.stream.AggregateID, n.unusable)
		return nil
	}
	if n.taken != nil && n.taker != n.stream {
		err := r.append(ctx, n.taker, eventsourced.NoStream, fact{n.taken, n.facts[0].at, n.facts[0].from})
		if err != nil && !errors.Is(err, eventsourced.ErrConflict) { // it has the name: another one's
			return err
		}
	}
	return r.adopt(ctx, n.table, n.stream, n.facts)
}

// adopt begins a row's stream.
func (r *run) adopt(ctx context.Context, table string, stream eventsourced.Stream, facts []fact) error {
	switch err := r.append(ctx, stream, eventsourced.NoStream, facts...); {
	case err == nil:
		r.count(table, adopted)
	case errors.Is(err, eventsourced.ErrConflict):
		r.count(table, known) // somebody was faster
	case errors.Is(err, eventsourced.ErrInvalid):
		r.refuse(table, stream.AggregateID, err)
	default:
		return err
	}
	return nil
}

// dancesAtOnce is how many dances are held in memory.
const dancesAtOnce = 1000

func (r *run) dances(ctx context.Context) error {
	return together(ctx, func(ctx context.Context, work func(func() error)) error {
		for after := ""; ; {
			rows, err := r.pool.Query(ctx, `SELECT id::text, event_date, start_time::text, end_time::text, extra_info, band_id::text, dance_hall_id::text, created, updated,
					EXISTS (SELECT FROM events WHERE aggregate_name = $1 AND aggregate_id = event.id::text)
				FROM event WHERE $2 = '' OR id > nullif($2, '')::uuid ORDER BY id LIMIT $3`, domain.AggregateEvent, after, dancesAtOnce)
			if err != nil {
				return err
			}
			all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[dance])
			if err != nil || len(all) == 0 {
				return err
			}
			after = all[len(all)-1].ID
			for _, d := range all {
				work(func() error { return r.dance(ctx, d) })
			}
		}
	})
}

// dance is a row of the table event.
type dance struct {
	ID                    string
	Date                  pgtype.Date
	Start, End            *string
	ExtraInfo, Band, Hall string
	Created, Updated      pgtype.Timestamptz
	Known                 bool
}

// dance adopts a dance. One that was updated after it was created was so with these details: what it
// was before is not known.
func (r *run) dance(ctx context.Context, d dance) error {
	if d.Known {
		r.count("event", known)
		return nil
	}
	created, err1 := timeOf(d.Created)
	updated, err2 := timeOf(d.Updated)
	date, err3 := dayOf(d.Date)
	if err := errors.Join(err1, err2, err3); err != nil {
		r.refuse("event", d.ID, err)
		return nil
	}
	details := domain.EventCreated{
		Date: date, StartTime: clockOf(d.Start), EndTime: clockOf(d.End), BandID: d.Band, DanceHallID: d.Hall, ExtraInfo: d.ExtraInfo,
	}
	later := domain.EventUpdated(details)
	facts := []fact{{&details, created, from("event", d.ID)}}
	if !updated.Equal(created) {
		facts = append(facts, fact{&later, updated, from("event", d.ID)})
	}
	return r.adopt(ctx, "event", eventsourced.Stream{AggregateName: domain.AggregateEvent, AggregateID: d.ID}, facts)
}
