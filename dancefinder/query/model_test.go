package query_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// model answers the questions another way: by looking at every dance.
type model struct {
	bands   map[string]query.Band
	halls   map[string]query.DanceHall
	events  []query.Event
	origins []query.Origin // of anna
	ignored map[query.Kind][]string
}

// newModel makes up a small catalogue with all that is awkward: dances whose band or
// hall is not known, halls that nobody found, times that are missing, dances that are
// alike, cities of one name in two municipalities and in two spellings.
func newModel(random *rand.Rand) *model {
	m := &model{bands: map[string]query.Band{}, halls: map[string]query.DanceHall{}, ignored: map[query.Kind][]string{}}
	id := func() string {
		return uuid.UUID{byte(random.Uint32()), byte(random.Uint32()), 2: byte(random.Uint32()), 15: byte(random.Uint32())}.String()
	}
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	created := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	for i := range 9 {
		b := query.Band{ID: id(), Name: fmt.Sprintf("Band %d%%", i), Created: created}
		m.bands[b.ID] = b
	}
	for i := range 14 {
		h := query.DanceHall{ID: id(), Name: fmt.Sprintf("Hall_%d", i), Created: created, Place: domain.Place{
			City: pick("Orsa", "ORSA", "Mora", "Vi", ""), Municipality: pick("Mora", "Falun"), State: pick("Dalarna", "Skåne"),
		}}
		if random.IntN(4) > 0 {
			c := at(60+float64(random.IntN(8))/4, 14+float64(random.IntN(8))/4)
			h.Coordinate = &c
		}
		m.halls[h.ID] = h
	}
	bandIDs, hallIDs := append(keys(m.bands), id()), append(keys(m.halls), id())
	for range 130 {
		e := query.Event{
			ID: id(), Date: domain.Date(fmt.Sprintf("2026-07-%02d", 1+random.IntN(9))), Created: created, Updated: created,
			Extra: pick("", "Inställt", "Kaffe"), BandID: pick(bandIDs...), DanceHallID: pick(hallIDs...),
		}
		if e.Times.Start = domain.Clock(pick("", "00:00", "19:00", "21:30")); e.Times.Start != "" {
			e.Times.End = domain.Clock(pick("", "01:00"))
		}
		m.events = append(m.events, e)
	}
	mora, falun := at(61, 14.5), at(60.6, 15.6)
	m.origins = []query.Origin{{Name: "Falun", At: &falun}, {Name: "Mora", At: &mora}, {Name: "Någonstans"}}
	m.ignored[query.KindBand] = []string{pick(bandIDs...), pick(bandIDs...)}
	m.ignored[query.KindDanceHall] = []string{pick(hallIDs...)}
	m.ignored[query.KindCity] = []string{"Orsa"}
	if random.IntN(2) == 0 {
		m.ignored[query.KindMunicipality] = []string{"falun"}
	}
	return m
}

func keys[T any](m map[string]T) (list []string) {
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// save replaces what is in the read views.
func (m *model) save(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	exec := func(sql string, args ...any) {
		t.Helper()
		_, err := pool.Exec(t.Context(), sql, args...)
		require.NoError(t, err)
	}
	exec(`TRUNCATE band, dance_hall, event, origin, ignored_band, ignored_dance_hall, ignored_city, ignored_municipality, ignored_state`)
	for _, b := range m.bands {
		exec(`INSERT INTO band VALUES ($1, $2, $3)`, b.ID, b.Name, b.Created)
	}
	for _, h := range m.halls {
		var latitude, longitude *float64
		if h.Coordinate != nil {
			latitude, longitude = &h.Coordinate.Latitude, &h.Coordinate.Longitude
		}
		exec(`INSERT INTO dance_hall (id, name, city, municipality, state, latitude, longitude, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			h.ID, h.Name, h.Place.City, h.Place.Municipality, h.Place.State, latitude, longitude, h.Created)
	}
	for _, e := range m.events {
		exec(`INSERT INTO event (id, event_date, start_time, end_time, extra_info, band_id, dance_hall_id, created, updated)
			VALUES ($1, $2, nullif($3, '')::time, nullif($4, '')::time, $5, $6, $7, $8, $9)`,
			e.ID, string(e.Date), string(e.Times.Start), string(e.Times.End), e.Extra, e.BandID, e.DanceHallID, e.Created, e.Updated)
	}
	for _, o := range m.origins {
		var latitude, longitude *float64
		if o.At != nil {
			latitude, longitude = &o.At.Latitude, &o.At.Longitude
		}
		exec(`INSERT INTO origin (id, subject, origin, latitude, longitude, created) VALUES (gen_random_uuid(), 'anna', $1, $2, $3, now())`, o.Name, latitude, longitude)
	}
	columns := map[query.Kind]string{
		query.KindBand: "ignored_band (id, subject, band_id", query.KindDanceHall: "ignored_dance_hall (id, subject, dance_hall_id",
		query.KindCity: "ignored_city (id, subject, city", query.KindMunicipality: "ignored_municipality (id, subject, municipality",
	}
	for kind, values := range m.ignored {
		for _, value := range values {
			exec(`INSERT INTO `+columns[kind]+`, created) VALUES (gen_random_uuid(), 'anna', $1, now()) ON CONFLICT DO NOTHING`, value)
		}
	}
}

// filter makes up a question.
func (m *model) filter(random *rand.Rand) query.Filter {
	maybe := func() bool { return random.IntN(3) == 0 }
	f := query.Filter{From: domain.Date(fmt.Sprintf("2026-07-%02d", 1+random.IntN(4))), To: domain.Date(fmt.Sprintf("2026-07-%02d", 4+random.IntN(7)))}
	if maybe() {
		f.Near = []query.Point{{Name: "Här", At: at(60.5, 15)}}
	}
	if f.Subject = []string{"anna", "bo", ""}[random.IntN(3)]; maybe() {
		f.Origins = true
		if maybe() {
			f.OriginNames = []string{"Falun"}
		}
	}
	f.MaxKm = float64(random.IntN(3) * 40)
	f.Unlocated, f.Ignored = maybe(), maybe()
	if maybe() {
		f.BandIDs = keys(m.bands)[:3]
	}
	if maybe() {
		f.DanceHallIDs = keys(m.halls)[4:]
	}
	if maybe() {
		f.States = []string{"Skåne"}
	}
	if maybe() {
		f.Municipalities = []query.Area{{State: []string{"", "Dalarna"}[random.IntN(2)], Municipality: "Falun"}}
	}
	if maybe() {
		f.Cities = []query.Area{{City: "Orsa"}, {Municipality: "Mora", City: "Vi"}}
	}
	if maybe() {
		f.Search = []string{"ORS", "band 1%", "l_1", "%", `\`}[random.IntN(5)]
	}
	return f
}

// answer is a dance and how it meets the filter.
type answer struct {
	query.Event
	inArea, inBands bool
}

func (m *model) answers(f query.Filter) (all []answer) {
	points := slices.Clone(f.Near)
	if f.Origins && f.Subject == "anna" {
		for _, o := range m.origins {
			if o.At != nil && (len(f.OriginNames) == 0 || slices.Contains(f.OriginNames, o.Name)) {
				points = append(points, query.Point{Name: o.Name, At: *o.At})
			}
		}
	}
	for _, e := range m.events {
		hall, known := m.halls[e.DanceHallID]
		for _, p := range points {
			if hall.Coordinate == nil {
				break
			}
			if km := distance(*hall.Coordinate, p.At); e.Km == nil || km < *e.Km-1e-9 || (math.Abs(km-*e.Km) < 1e-9 && p.Name < e.Near) {
				e.Km, e.Near = &km, p.Name
			}
		}
		if f.Subject == "anna" {
			e.Hidden = m.hidden(e, hall)
		}
		tooFar := f.MaxKm > 0 && len(points) > 0 && (e.Km == nil && !f.Unlocated || e.Km != nil && *e.Km > f.MaxKm)
		contains := func(s string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(f.Search)) }
		found := f.Search == "" || contains(hall.Name) && known || contains(hall.Place.City) && known || contains(m.bands[e.BandID].Name) && m.bands[e.BandID].ID != ""
		if e.Date < f.From || e.Date > f.To || tooFar || !found || len(f.DanceHallIDs) > 0 && !slices.Contains(f.DanceHallIDs, e.DanceHallID) {
			continue
		}
		all = append(all, answer{e, inArea(f, hall, known), len(f.BandIDs) == 0 || slices.Contains(f.BandIDs, e.BandID)})
	}
	return all
}

func inArea(f query.Filter, hall query.DanceHall, known bool) bool {
	if len(f.States)+len(f.Municipalities)+len(f.Cities) == 0 {
		return true
	}
	is := func(a query.Area) bool {
		return (a.State == "" || a.State == hall.Place.State) && (a.Municipality == "" || a.Municipality == hall.Place.Municipality) &&
			(a.City == "" || a.City == hall.Place.City)
	}
	return known && (slices.Contains(f.States, hall.Place.State) || slices.ContainsFunc(f.Municipalities, is) || slices.ContainsFunc(f.Cities, is))
}

func (m *model) hidden(e query.Event, hall query.DanceHall) query.Kind {
	for _, k := range []struct {
		kind  query.Kind
		value string
	}{
		{query.KindBand, e.BandID}, {query.KindDanceHall, hall.ID}, {query.KindCity, hall.Place.City}, {query.KindMunicipality, hall.Place.Municipality},
	} {
		if slices.ContainsFunc(m.ignored[k.kind], func(ignored string) bool { return strings.EqualFold(ignored, k.value) }) {
			return k.kind
		}
	}
	return ""
}

// distance by the law of cosines, in kilometres.
func distance(a, b domain.Coordinate) float64 {
	r := math.Pi / 180
	cos := math.Sin(a.Latitude*r)*math.Sin(b.Latitude*r) + math.Cos(a.Latitude*r)*math.Cos(b.Latitude*r)*math.Cos((a.Longitude-b.Longitude)*r)
	return 6371.0088 * math.Acos(min(1, cos))
}

// TestQuestionsAgainstAModel asks many made-up questions, page by page.
func TestQuestionsAgainstAModel(t *testing.T) {
	t.Parallel()
	pool := newDatabase(t)
	reader := query.New(pool)
	for seed := range uint64(6) {
		random := rand.New(rand.NewPCG(seed, 1))
		m := newModel(random)
		m.save(t, pool)
		for range 40 {
			f := m.filter(random)
			all := m.answers(f)
			sort := []query.Sort{query.ByDate, query.ByDistance}[random.IntN(2)]
			requireEvents(t, reader, f, sort, 1+random.IntN(40), all)
			requireSummary(t, reader, m, f, all)
		}
	}
}

func requireEvents(t *testing.T, reader *query.Reader, f query.Filter, sort query.Sort, first int, all []answer) {
	t.Helper()
	var want []query.Event
	for _, a := range all {
		if a.inArea && a.inBands && (f.Ignored || a.Hidden == "") {
			want = append(want, a.Event)
		}
	}
	slices.SortFunc(want, func(a, b query.Event) int {
		km := func(e query.Event) float64 {
			if e.Km == nil {
				return math.Inf(1)
			}
			return math.Round(*e.Km * 1e6)
		}
		start := func(e query.Event) string { return cmp.Or(string(e.Times.Start), "24:00") }
		byDate := cmp.Or(cmp.Compare(a.Date, b.Date), cmp.Compare(start(a), start(b)))
		byKm := cmp.Compare(km(a), km(b))
		if sort == query.ByDistance {
			return cmp.Or(byKm, byDate, cmp.Compare(a.ID, b.ID))
		}
		return cmp.Or(byDate, byKm, cmp.Compare(a.ID, b.ID))
	})
	var got []query.Event
	for after, more := "", true; more; {
		page, err := reader.Events(t.Context(), f, sort, first, after)
		require.NoError(t, err)
		require.Len(t, page.Cursors, len(page.Items))
		if after == "" {
			require.Equal(t, len(want), *page.Total)
		} else {
			require.Nil(t, page.Total)
		}
		got, more = append(got, page.Items...), page.More
		if more {
			require.Len(t, page.Items, first)
			after = page.Cursors[first-1]
		}
	}
	require.Len(t, got, len(want), "%+v", f)
	for i := range want {
		if want[i].Km != nil {
			require.NotNil(t, got[i].Km)
			require.InDelta(t, *want[i].Km, *got[i].Km, 1e-4)
			got[i].Km = want[i].Km
		}
		got[i].Created, got[i].Updated = got[i].Created.UTC(), got[i].Updated.UTC()
		require.Equal(t, want[i], got[i], "%d of %+v", i, f)
	}
}

func requireSummary(t *testing.T, reader *query.Reader, m *model, f query.Filter, all []answer) {
	t.Helper()
	days, hidden := map[domain.Date]int{}, map[query.Kind]int{}
	halls, bands := map[string][2]int{}, map[string][2]int{}
	total := 0
	count := func(counts map[string][2]int, id string, matches, any bool) {
		c := counts[id]
		if matches {
			c[0]++
		}
		if any {
			c[1]++
			counts[id] = c
		}
	}
	for _, a := range all {
		matches := a.inArea && a.inBands
		switch {
		case a.Hidden != "":
			if matches {
				hidden[a.Hidden]++
			}
			continue
		case matches:
			days[a.Date]++
			total++
		}
		count(halls, a.DanceHallID, matches, a.inBands)
		count(bands, a.BandID, matches, a.inArea)
	}
	got, err := reader.Summary(t.Context(), f)
	require.NoError(t, err)
	require.Equal(t, total, got.Total)
	require.Equal(t, hidden, got.Hidden)
	gotDays, gotHalls, gotBands := map[domain.Date]int{}, map[string][2]int{}, map[string][2]int{}
	for _, d := range got.Days {
		gotDays[d.Date] = d.Count
	}
	require.True(t, slices.IsSortedFunc(got.Days, func(a, b query.DayCount) int { return cmp.Compare(a.Date, b.Date) }))
	for _, h := range got.Halls {
		gotHalls[h.ID] = [2]int{h.Count, h.AnyArea}
		require.Equal(t, m.halls[h.ID].Name, h.Name)
		require.Equal(t, m.halls[h.ID].Coordinate, h.Coordinate)
	}
	for _, b := range got.Bands {
		gotBands[b.ID] = [2]int{b.Count, b.AnyBand}
		require.Equal(t, m.bands[b.ID].Name, b.Name)
	}
	require.Equal(t, days, gotDays)
	require.Equal(t, halls, gotHalls)
	require.Equal(t, bands, gotBands)
}
