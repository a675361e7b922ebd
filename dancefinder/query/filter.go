package query

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// validate returns what is wrong with the filter.
func (f Filter) validate() error {
	from, to := f.From.Time(), f.To.Time()
	switch {
	case from.IsZero():
		return invalid("from", "%.40q is not a date such as 2026-07-04", string(f.From))
	case to.IsZero():
		return invalid("to", "%.40q is not a date such as 2026-07-04", string(f.To))
	case to.Before(from):
		return invalid("to", "%s is before %s", f.To, f.From)
	case to.Sub(from) >= MaxDays*24*time.Hour:
		return invalid("to", "the period has more than %d days", MaxDays)
	case math.IsNaN(f.MaxKm) || f.MaxKm < 0 || f.MaxKm > 20_100:
		return invalid("maxKm", "%v is not between 0 and 20,100", f.MaxKm)
	}
	for field, n := range map[string]int{
		"near": len(f.Near), "origins": len(f.OriginNames), "bandIds": len(f.BandIDs), "danceHallIds": len(f.DanceHallIDs),
		"states": len(f.States), "municipalities": len(f.Municipalities), "cities": len(f.Cities),
	} {
		if n > MaxValues {
			return invalid(field, "has %d values, the limit is %d", n, MaxValues)
		}
	}
	for _, p := range f.Near {
		if !(math.Abs(p.At.Latitude) <= 90 && math.Abs(p.At.Longitude) <= 180) { // so that NaN is none either
			return invalid("near", "%v, %v is not on the Earth", p.At.Latitude, p.At.Longitude)
		}
	}
	if err := checkIDs("bandIds", f.BandIDs); err != nil {
		return err
	}
	if err := checkIDs("danceHallIds", f.DanceHallIDs); err != nil {
		return err
	}
	return f.checkTexts()
}

// checkTexts refuses what PostgreSQL would, and searches that are too long.
func (f Filter) checkTexts() error {
	texts := append(append([]string{}, f.States...), f.OriginNames...)
	for _, area := range append(append([]Area{}, f.Municipalities...), f.Cities...) {
		texts = append(texts, area.State, area.Municipality, area.City)
	}
	for _, p := range f.Near {
		texts = append(texts, p.Name)
	}
	for _, text := range texts {
		if !storable(text) {
			return invalid("areas", "%.60q is not a name", text)
		}
	}
	return checkSearch(f.Search)
}

func checkSearch(search string) error {
	switch {
	case !storable(search):
		return invalid("search", "is not text")
	case utf8.RuneCountInString(search) > MaxSearch:
		return invalid("search", "has more than %d characters", MaxSearch)
	}
	return nil
}

// storable tells whether PostgreSQL can take s as text.
func storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

func checkIDs(field string, ids []string) error {
	for _, id := range ids {
		if parsed, err := uuid.Parse(id); err != nil || len(id) != len(parsed.String()) {
			return invalid(field, "%.60q is not an id", id)
		}
	}
	return nil
}

// The parts of a question about dances. A hall's distances and what hides it are
// found once for each hall, before its dances are looked at. What the filter does not
// ask for is left out: planning it costs as much as the answer.
const (
	pointSQL = `
	point AS MATERIALIZED (
		SELECT name, latitude, longitude FROM unnest(@near_names::text[], @near_latitudes::float8[], @near_longitudes::float8[]) AS p (name, latitude, longitude)`

	originSQL = `
		UNION ALL
		SELECT origin, latitude, longitude FROM origin
		WHERE subject = @subject AND latitude IS NOT NULL
			AND (cardinality(@origin_names::text[]) = 0 OR origin = ANY (@origin_names::text[]))`

	// IN and not EXISTS, of which PostgreSQL believes that it looks once for each hall:
	// for some 2,000 halls it would compile the statement, which takes ten times as long.
	hiddenSQL = `CASE
				WHEN h.id IN (SELECT i.dance_hall_id FROM ignored_dance_hall i WHERE i.subject = @subject) THEN 'DANCE_HALL'
				WHEN lower(h.city) IN (SELECT lower(i.city) FROM ignored_city i WHERE i.subject = @subject) THEN 'CITY'
				WHEN lower(h.municipality) IN (SELECT lower(i.municipality) FROM ignored_municipality i WHERE i.subject = @subject) THEN 'MUNICIPALITY'
				WHEN lower(h.state) IN (SELECT lower(i.state) FROM ignored_state i WHERE i.subject = @subject) THEN 'STATE'
			END`

	areaSQL = `h.state = ANY (@states::text[])
				OR EXISTS (SELECT FROM unnest(@municipality_states::text[], @municipalities::text[]) AS a (state, municipality)
					WHERE a.municipality = h.municipality AND a.state IN ('', h.state))
				OR EXISTS (SELECT FROM unnest(@city_states::text[], @city_municipalities::text[], @cities::text[]) AS a (state, municipality, city)
					WHERE a.city = h.city AND a.municipality IN ('', h.municipality) AND a.state IN ('', h.state))`

	// On a sphere with the Earth's mean radius, 6,371.0088 km: at most 0.5% off.
	hallSQL = `
		FROM dance_hall h
		LEFT JOIN LATERAL (
			SELECT p.name, 12742.0176 * asin(least(1, sqrt(
				sin(radians(h.latitude - p.latitude) / 2) ^ 2
				+ cos(radians(h.latitude)) * cos(radians(p.latitude)) * sin(radians(h.longitude - p.longitude) / 2) ^ 2))) AS km
			FROM point p
			WHERE h.latitude IS NOT NULL`

	nearestSQL = `
			ORDER BY km, p.name
			LIMIT 1`

	// Whether a hall may be near enough: a degree of latitude is 111 km everywhere.
	nearEnoughSQL = `
		WHERE NOT EXISTS (SELECT FROM point) OR EXISTS (SELECT FROM point p WHERE abs(h.latitude - p.latitude) <= @max_km / 111.0)`

	ignoredSQL = `
		LEFT JOIN ignored_band ignored ON ignored.subject = @subject AND ignored.band_id = e.band_id`
)

// known returns the WITH clause up to the halls, what hides a dance, and whether it
// is in an area.
func (f Filter) known() (with, hidden, area string) {
	with, hidden, area = "WITH"+pointSQL, "NULL::text", "false"
	if f.Origins && f.Subject != "" {
		with += originSQL
	}
	if f.Subject != "" {
		hidden = hiddenSQL
	}
	if !f.allAreas() {
		area = areaSQL
	}
	with += "\n\t),\n\thall AS MATERIALIZED (\n\t\tSELECT h.*, near.km, near.name AS near, " + hidden + " AS hidden, " + area + " AS in_area" + hallSQL
	if len(f.Near) > 1 || f.Origins && f.Subject != "" {
		with += nearestSQL
	}
	with += "\n\t\t) near ON true"
	if f.MaxKm > 0 && !f.Unlocated {
		with += nearEnoughSQL
	}
	with += "\n\t)"
	hidden, area = "hall.hidden", "coalesce(hall.in_area, false)"
	if f.Subject != "" {
		hidden = "CASE WHEN ignored.band_id IS NOT NULL THEN 'BAND' ELSE hall.hidden END"
	}
	if f.allAreas() {
		area = "true"
	}
	return with, hidden, area
}

func (f Filter) allAreas() bool { return len(f.States)+len(f.Municipalities)+len(f.Cities) == 0 }

// sql returns the WITH clause that defines dance, and its arguments. Its rows match
// all of the filter but areas, bands and what is hidden, which are columns.
func (f Filter) sql() (string, pgx.NamedArgs) {
	with, hidden, area := f.known()
	with += `,
	dance AS (
		SELECT e.*, hall.km, hall.near, hall.name AS hall_name, hall.city, hall.municipality, hall.state, hall.latitude, hall.longitude,
			` + hidden + ` AS hidden, ` + area + ` AS in_area,
			@all_bands OR e.band_id = ANY (@band_ids::text[]::uuid[]) AS in_bands
		FROM event e
		LEFT JOIN hall ON hall.id = e.dance_hall_id`
	if f.Subject != "" {
		with += ignoredSQL
	}
	with += `
		WHERE e.event_date BETWEEN @from::date AND @to::date`
	if f.MaxKm > 0 {
		near := "hall.km <= @max_km OR NOT EXISTS (SELECT FROM point)"
		if f.Unlocated {
			near += " OR hall.km IS NULL"
		}
		with += "\n\t\t\tAND (" + near + ")"
	}
	if len(f.DanceHallIDs) > 0 {
		with += "\n\t\t\tAND e.dance_hall_id = ANY (@dance_hall_ids::text[]::uuid[])"
	}
	if f.Search != "" {
		with += `
			AND (hall.name ILIKE @search OR hall.city ILIKE @search
				OR EXISTS (SELECT FROM band b WHERE b.id = e.band_id AND b.name ILIKE @search))`
	}
	return with + "\n\t)", f.arguments()
}

func (f Filter) arguments() pgx.NamedArgs {
	args := pgx.NamedArgs{
		"from": string(f.From), "to": string(f.To), "subject": f.Subject, "max_km": f.MaxKm,
		"origin_names": list(f.OriginNames),
		"states":       list(f.States), "band_ids": list(f.BandIDs), "dance_hall_ids": list(f.DanceHallIDs),
		"all_bands": len(f.BandIDs) == 0,
		"search":    containing(f.Search),
	}
	names, latitudes, longitudes := []string{}, []float64{}, []float64{}
	for _, p := range f.Near {
		names, latitudes, longitudes = append(names, p.Name), append(latitudes, p.At.Latitude), append(longitudes, p.At.Longitude)
	}
	args["near_names"], args["near_latitudes"], args["near_longitudes"] = names, latitudes, longitudes
	column := func(areas []Area, of func(Area) string) []string {
		values := []string{}
		for _, area := range areas {
			values = append(values, of(area))
		}
		return values
	}
	state := func(a Area) string { return a.State }
	municipality := func(a Area) string { return a.Municipality }
	args["municipality_states"] = column(f.Municipalities, state)
	args["municipalities"] = column(f.Municipalities, municipality)
	args["city_states"] = column(f.Cities, state)
	args["city_municipalities"] = column(f.Cities, municipality)
	args["cities"] = column(f.Cities, func(a Area) string { return a.City })
	return args
}

// list is s, never NULL.
func list(s []string) []string { return append([]string{}, s...) }

// containing returns the pattern of LIKE for texts with s in them.
func containing(s string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s) + "%"
}
