package query_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

func TestRelated(t *testing.T) {
	t.Parallel()
	pool := newYear(t)
	reader := query.New(pool)
	ids := func(sql string) []string {
		rows, err := pool.Query(t.Context(), sql)
		require.NoError(t, err)
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return all
	}
	t.Run("the dances of bands and at halls come in pages, each in its order", func(t *testing.T) {
		t.Parallel()
		bands := ids(`SELECT id::text FROM band ORDER BY name LIMIT 3`)
		halls := ids(`SELECT id::text FROM dance_hall ORDER BY name LIMIT 3`)
		for column, all := range map[string][]string{"band_id": bands, "dance_hall_id": halls} {
			ask := reader.EventsOfBands
			if column == "dance_hall_id" {
				ask = reader.EventsOfDanceHalls
			}
			together, err := ask(t.Context(), all, "2026-03-01", "2026-09-30", 10, "")
			require.NoError(t, err)
			require.Len(t, together, 3)
			for _, id := range all {
				want := ids(`SELECT id::text FROM event WHERE ` + column + ` = '` + id + `' AND event_date BETWEEN '2026-03-01' AND '2026-09-30' ORDER BY event_date, start_time, id`)
				var got []string
				for page, after := together[id], ""; ; {
					for _, e := range page.Items {
						got = append(got, e.ID)
					}
					if !page.More {
						break
					}
					after = page.Cursors[len(page.Cursors)-1]
					next, err := ask(t.Context(), []string{id}, "2026-03-01", "2026-09-30", 10, after)
					require.NoError(t, err)
					page = next[id]
				}
				require.Equal(t, want, got)
			}
		}
		none, err := reader.EventsOfBands(t.Context(), nil, "2026-03-01", "2026-09-30", 10, "")
		require.NoError(t, err)
		require.Empty(t, none)
	})
	t.Run("a dance matches just when it would be listed", func(t *testing.T) {
		t.Parallel()
		rows, err := pool.Query(t.Context(), `SELECT id::text, event_date::text, band_id::text, dance_hall_id::text FROM event WHERE event_date BETWEEN '2026-06-25' AND '2026-07-10' ORDER BY id`)
		require.NoError(t, err)
		var events []string
		var dances []query.Dance
		var id string
		var dance query.Dance
		_, err = pgx.ForEachRow(rows, []any{&id, (*string)(&dance.Date), &dance.BandID, &dance.DanceHallID}, func() error {
			events, dances = append(events, id), append(dances, dance)
			return nil
		})
		require.NoError(t, err)
		hidden := nearby()
		hidden.Ignored = true
		searched := nearby()
		searched.Search, searched.MaxKm = "band 1", 0
		area := query.Filter{From: "2026-07-01", To: "2026-07-31", States: []string{"Län 1"}}
		for what, f := range map[string]query.Filter{"nearby": nearby(), "with what is ignored": hidden, "search": searched, "area": area} {
			listed := map[string]bool{}
			for after := ""; ; {
				page, err := reader.Events(t.Context(), f, query.ByDate, query.MaxFirst, after)
				require.NoError(t, err)
				for _, e := range page.Items {
					listed[e.ID] = true
				}
				if !page.More {
					break
				}
				after = page.Cursors[len(page.Cursors)-1]
			}
			require.NotEmpty(t, listed, what)
			matches, err := reader.Match(t.Context(), f, dances...)
			require.NoError(t, err)
			for i, id := range events {
				require.Equal(t, listed[id], matches[i], "%s: %+v", what, dances[i])
			}
		}
	})
	t.Run("what is not valid is refused", func(t *testing.T) {
		t.Parallel()
		for _, ask := range []func() error{
			func() error { _, err := reader.Match(t.Context(), query.Filter{}); return err },
			func() error {
				_, err := reader.EventsOfBands(t.Context(), []string{"x"}, "2026-03-01", "2026-09-30", 10, "")
				return err
			},
			func() error {
				_, err := reader.EventsOfBands(t.Context(), nil, "2026-03-01", "2026-02-01", 10, "")
				return err
			},
			func() error {
				_, err := reader.EventsOfDanceHalls(t.Context(), nil, "2026-03-01", "2026-03-01", 0, "")
				return err
			},
			func() error {
				_, err := reader.EventsOfDanceHalls(t.Context(), nil, "2026-03-01", "2026-03-01", 1, "x")
				return err
			},
		} {
			require.ErrorIs(t, ask(), query.ErrInvalid)
		}
	})
}
