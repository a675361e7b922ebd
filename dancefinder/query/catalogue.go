package query

import (
	"context"

	"github.com/jackc/pgx/v5"
)

const (
	bandColumns = `id::text, name, created`
	hallColumns = `id::text, name, city, municipality, state, latitude, longitude, created`
)

// Bands returns the first bands with search in their name, or those after a cursor,
// by name; at most [MaxFirst].
func (r *Reader) Bands(ctx context.Context, search string, first int, after string) (Page[Band], error) {
	return namedPage(ctx, r, "SELECT "+bandColumns+" FROM band WHERE name ILIKE @search", "lower(name), id", "BAND", scanBand,
		func(b Band) nameKey { return nameKey{b.Name, b.ID} }, search, first, after)
}

// DanceHalls returns the first halls with search in their name or city, or those
// after a cursor, by name; at most [MaxFirst].
func (r *Reader) DanceHalls(ctx context.Context, search string, first int, after string) (Page[DanceHall], error) {
	return namedPage(ctx, r, "SELECT "+hallColumns+" FROM dance_hall WHERE (name ILIKE @search OR city ILIKE @search)", "lower(name), id", "DANCE_HALL", scanHall,
		func(h DanceHall) nameKey { return nameKey{h.Name, h.ID} }, search, first, after)
}

// nameKey is where a band or hall stands.
type nameKey struct {
	Name string `json:"n"`
	ID   string `json:"i"`
}

func (k nameKey) valid() bool { return checkIDs("after", []string{k.ID}) == nil }

func namedPage[T any](ctx context.Context, r *Reader, sql, order, kind string, scan pgx.RowToFunc[T], keyFunc func(T) nameKey, search string, first int, after string) (page Page[T], err error) {
	if err := checkFirst(first); err != nil {
		return page, err
	}
	if err := checkSearch(search); err != nil {
		return page, err
	}
	args := pgx.NamedArgs{"search": containing(search), "first": first + 1}
	if after != "" {
		at, err := parseCursor[nameKey](kind, after)
		if err != nil {
			return page, err
		}
		sql += " AND (" + order + ") > (lower(@after_name::text), @after_id::text::uuid)"
		args["after_name"], args["after_id"] = at.Name, at.ID
	}
	rows, err := r.db.Query(ctx, sql+" ORDER BY "+order+" LIMIT @first", args)
	if err != nil {
		return page, err
	}
	page.Items, err = pgx.CollectRows(rows, scan)
	return page.cut(first, func(item T) string { return cursor(kind, keyFunc(item)) }), err
}

// BandsByID returns those of the bands that there are.
func (r *Reader) BandsByID(ctx context.Context, ids ...string) (map[string]Band, error) {
	return byID(ctx, r, "SELECT "+bandColumns+" FROM band", scanBand, func(b Band) string { return b.ID }, ids)
}

// DanceHallsByID returns those of the halls that there are.
func (r *Reader) DanceHallsByID(ctx context.Context, ids ...string) (map[string]DanceHall, error) {
	return byID(ctx, r, "SELECT "+hallColumns+" FROM dance_hall", scanHall, func(h DanceHall) string { return h.ID }, ids)
}

// byID returns what sql selects of these ids. Ids are compared as UUIDs are: in the
// result they are in lower case.
func byID[T any](ctx context.Context, r *Reader, sql string, scan pgx.RowToFunc[T], idOf func(T) string, ids []string) (map[string]T, error) {
	found := make(map[string]T, len(ids))
	switch {
	case len(ids) == 0:
		return found, nil
	case len(ids) > MaxIDs:
		return nil, invalid("ids", "has %d values, the limit is %d", len(ids), MaxIDs)
	}
	if err := checkIDs("id", ids); err != nil {
		return nil, err
	}
	rows, err := r.db.Query(ctx, sql+" WHERE id = ANY ($1::text[]::uuid[])", ids)
	if err != nil {
		return nil, err
	}
	items, err := pgx.CollectRows(rows, scan)
	for _, item := range items {
		found[idOf(item)] = item
	}
	return found, err
}

func scanBand(row pgx.CollectableRow) (b Band, err error) {
	return b, row.Scan(&b.ID, &b.Name, &b.Created)
}

func scanHall(row pgx.CollectableRow) (h DanceHall, err error) {
	var latitude, longitude *float64
	err = row.Scan(&h.ID, &h.Name, &h.Place.City, &h.Place.Municipality, &h.Place.State, &latitude, &longitude, &h.Created)
	h.Coordinate = coordinate(latitude, longitude)
	return h, err
}
