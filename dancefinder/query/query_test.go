package query_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

func TestQuestionsThatAreRefused(t *testing.T) {
	t.Parallel()
	reader := query.New(newDatabase(t))
	good := nearby()
	for field, spoil := range map[string]func(*query.Filter){
		"from":           func(f *query.Filter) { f.From = "2026-7-1" },
		"to":             func(f *query.Filter) { f.To = "2026-06-30" },
		"to ":            func(f *query.Filter) { f.To = "2027-07-02" },
		"maxKm":          func(f *query.Filter) { f.MaxKm = math.NaN() },
		"maxKm ":         func(f *query.Filter) { f.MaxKm = -1 },
		"near":           func(f *query.Filter) { f.Near = []query.Point{{At: at(91, 0)}} },
		"bandIds":        func(f *query.Filter) { f.BandIDs = []string{"'; DROP TABLE event"} },
		"danceHallIds":   func(f *query.Filter) { f.DanceHallIDs = []string{"{" + strings.Repeat("0", 36) + "}"} },
		"states":         func(f *query.Filter) { f.States = make([]string, query.MaxValues+1) },
		"areas":          func(f *query.Filter) { f.Cities = []query.Area{{City: "a\x00b"}} },
		"areas ":         func(f *query.Filter) { f.States = []string{"\xff"} },
		"search":         func(f *query.Filter) { f.Search = strings.Repeat("å", query.MaxSearch+1) },
		"search ":        func(f *query.Filter) { f.Search = "\x00" },
		"municipalities": func(f *query.Filter) { f.Municipalities = make([]query.Area, query.MaxValues+1) },
	} {
		f := good
		spoil(&f)
		for what, ask := range map[string]func() error{
			"events":  func() error { _, err := reader.Events(t.Context(), f, query.ByDate, 10, ""); return err },
			"summary": func() error { _, err := reader.Summary(t.Context(), f); return err },
		} {
			err := ask()
			require.ErrorIs(t, err, query.ErrInvalid, "%s %s", what, field)
			var problem *query.Problem
			require.ErrorAs(t, err, &problem)
			require.Equal(t, strings.TrimSpace(field), problem.Field)
		}
	}
	for what, ask := range map[string]func() error{
		"no page":         func() error { _, err := reader.Events(t.Context(), good, query.ByDate, 0, ""); return err },
		"a long page":     func() error { _, err := reader.Bands(t.Context(), "", query.MaxFirst+1, ""); return err },
		"no such order":   func() error { _, err := reader.Events(t.Context(), good, "NAME; DROP", 1, ""); return err },
		"no cursor":       func() error { _, err := reader.Events(t.Context(), good, query.ByDate, 1, "abc"); return err },
		"a cursor's size": func() error { _, err := reader.Bands(t.Context(), "", 1, strings.Repeat("a", 10_000)); return err },
		"an id":           func() error { _, err := reader.BandsByID(t.Context(), "x"); return err },
		"ids":             func() error { _, err := reader.EventsByID(t.Context(), make([]string, query.MaxIDs+1)...); return err },
	} {
		require.ErrorIs(t, ask(), query.ErrInvalid, what)
	}
}

// FuzzCursor takes what it is given for a place in the list, or refuses it.
func FuzzCursor(f *testing.F) {
	pool := newYear(f)
	reader := query.New(pool)
	page, err := reader.Events(f.Context(), nearby(), query.ByDistance, 2, "")
	require.NoError(f, err)
	bands, err := reader.Bands(f.Context(), "", 2, "")
	require.NoError(f, err)
	f.Add(page.Cursors[0])
	f.Add(bands.Cursors[1])
	f.Add("REFURSBTkNFIHsiZCI6IjIwMjYtMTMtMDEiLCJzIjoiMjQ6MDEiLCJrIjoxZTMwOH0")
	f.Fuzz(func(t *testing.T, after string) {
		for _, sort := range []query.Sort{query.ByDate, query.ByDistance} {
			if _, err := reader.Events(t.Context(), nearby(), sort, 3, after); err != nil {
				require.ErrorIs(t, err, query.ErrInvalid)
			}
		}
		if _, err := reader.Bands(t.Context(), "", 3, after); err != nil {
			require.ErrorIs(t, err, query.ErrInvalid)
		}
	})
}

func TestCatalogueByName(t *testing.T) {
	t.Parallel()
	reader := query.New(newYear(t))
	var names []string
	for after, more := "", true; more; {
		page, err := reader.Bands(t.Context(), "and 1", 7, after)
		require.NoError(t, err)
		for _, band := range page.Items {
			names = append(names, band.Name)
		}
		after, more = page.Cursors[len(page.Cursors)-1], page.More
	}
	require.Len(t, names, 111, "1, 10 to 19, 100 to 199")
	require.IsNonDecreasing(t, names)
	halls, err := reader.DanceHalls(t.Context(), "ORT 17", 200, "")
	require.NoError(t, err)
	require.Len(t, halls.Items, 33, "17 and 170 to 179, three halls each")

	none, err := reader.DanceHallsByID(t.Context(), "00000000-0000-4000-8000-000000000000")
	require.NoError(t, err)
	require.Empty(t, none)
	one, err := reader.DanceHallsByID(t.Context(), strings.ToUpper(halls.Items[0].ID), halls.Items[0].ID)
	require.NoError(t, err)
	require.Equal(t, map[string]query.DanceHall{halls.Items[0].ID: halls.Items[0]}, one)
}

func TestPreferencesAreTheSubjectsOwn(t *testing.T) {
	t.Parallel()
	pool := newYear(t)
	reader := query.New(pool)
	annas, err := reader.Preferences(t.Context(), "anna")
	require.NoError(t, err)
	require.Len(t, annas.Origins, 2)
	require.Equal(t, "Falun", annas.Origins[0].Name)
	require.Len(t, annas.Bands, 20)
	require.Len(t, annas.DanceHalls, 20)
	require.Len(t, annas.Cities, 5)
	require.Len(t, annas.Municipalities, 5)
	require.Equal(t, []string{"Län 3"}, annas.States)
	require.NotEmpty(t, annas.Bands[0].Name)
	others, err := reader.Preferences(t.Context(), "bo")
	require.NoError(t, err)
	require.Equal(t, query.Preferences{}, others)
	_, err = pool.Exec(t.Context(), "TRUNCATE band")
	require.NoError(t, err)
	annas, err = reader.Preferences(t.Context(), "anna")
	require.NoError(t, err)
	require.Len(t, annas.Bands, 20, "by id, while their names are not known")
	require.Empty(t, annas.Bands[0].Name)
}
