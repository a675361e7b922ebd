package pipeline_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

func TestInsertsThatGoTogether(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"INSERT INTO a (x) VALUES ($1)":                                 "INSERT INTO a (x) SELECT * FROM unnest($1)",
		"insert into s.a(x,\n\ty)values($1,$2)":                         "insert into s.a(x,\n\ty)SELECT * FROM unnest($1, $2)",
		"INSERT INTO a (x) VALUES ($1) ; -- the end":                    "INSERT INTO a (x) SELECT * FROM unnest($1) ; -- the end",
		"-- what for\nINSERT INTO a (x) /* one */ VALUES /* it */ ($1)": "-- what for\nINSERT INTO a (x) /* one */ SELECT * FROM unnest($1)",
		`INSERT INTO "A" AS b ("x") VALUES ($1) ON CONFLICT DO NOTHING`: `INSERT INTO "A" AS b ("x") SELECT * FROM unnest($1) ON CONFLICT DO NOTHING`,
		"INSERT INTO a (x, y) VALUES ($1, $2) ON CONFLICT (x) DO UPDATE SET y = coalesce(EXCLUDED.y, a.y) + 1 WHERE a.y < 7": "INSERT INTO a (x, y) SELECT * FROM unnest($1, $2) ON CONFLICT (x) DO UPDATE SET y = coalesce(EXCLUDED.y, a.y) + 1 WHERE a.y < 7",
		"INSERT INTO a (x, y, z) VALUES ($1, 0, $2)":                                                       "INSERT INTO a (x, y, z) SELECT c1, 0, c2 FROM unnest($1, $2) AS given (c1, c2)",
		"INSERT INTO a (x, y) VALUES (NULL, $1) ON CONFLICT (y) DO UPDATE SET x = true":                    "INSERT INTO a (x, y) SELECT null, c1 FROM unnest($1) AS given (c1) ON CONFLICT (y) DO UPDATE SET x = true",
		"INSERT INTO a (x, y) VALUES ($2, $1)":                                                             "INSERT INTO a (x, y) SELECT c2, c1 FROM unnest($1, $2) AS given (c1, c2)",
		"INSERT INTO a (x, y, z) VALUES ($1, $2, $2)":                                                      "INSERT INTO a (x, y, z) SELECT c1, c2, c2 FROM unnest($1, $2) AS given (c1, c2)",
		"INSERT INTO a (x, y) VALUES ($1::uuid, $2:: INT)":                                                 "INSERT INTO a (x, y) SELECT * FROM unnest($1, $2)",
		"INSERT INTO a (x, y) VALUES ($1, 'It''s ON')":                                                     "INSERT INTO a (x, y) SELECT c1, 'It''s ON' FROM unnest($1) AS given (c1)",
		"INSERT INTO a (x, y) VALUES ($1, $2) ON CONFLICT (x) DO UPDATE SET y = a.y || ', ' || EXCLUDED.y": "INSERT INTO a (x, y) SELECT * FROM unnest($1, $2) ON CONFLICT (x) DO UPDATE SET y = a.y || ', ' || EXCLUDED.y",
	} {
		many, _, ok := pipeline.ParseInsert(query)
		require.True(t, ok, query)
		require.Equal(t, want, many)
	}
	_, key, ok := pipeline.ParseInsert("INSERT INTO a (x, y, z) VALUES (1, $1, $2) ON CONFLICT (x, z) DO UPDATE SET y = EXCLUDED.y")
	require.True(t, ok)
	require.Equal(t, []int{1}, key, "a constant tells no rows apart")
	_, key, ok = pipeline.ParseInsert("INSERT INTO a (x, y) VALUES (1, $1) ON CONFLICT (x) DO UPDATE SET y = EXCLUDED.y")
	require.True(t, ok)
	require.NotNil(t, key, "all rows have the same")
	require.Empty(t, key)
	_, key, ok = pipeline.ParseInsert("INSERT INTO a (x, y, z) VALUES ($1, $2, $3) ON CONFLICT (z, x) DO UPDATE SET y = EXCLUDED.y")
	require.True(t, ok)
	require.Equal(t, []int{2, 0}, key)
}

func TestInsertsThatDoNotGoTogether(t *testing.T) {
	t.Parallel()
	for _, query := range []string{
		"", "(", "SELECT 1", "INSERT INTO a VALUES ($1)", "INSERT INTO a DEFAULT VALUES",
		"INSERT INTO a (x) VALUES (1)",
		"INSERT INTO a (x) VALUES ($1 + 1)",
		"INSERT INTO a (x, y) VALUES ($1, 1.5)",
		"INSERT INTO a (x, y) VALUES ($1, 1 + 1)",
		"INSERT INTO a (x, y) VALUES ($1, E'text')",
		"INSERT INTO a (x, y) VALUES ($1, U&'text')",
		"INSERT INTO a (x, y) VALUES ($1, $$text$$)",
		`INSERT INTO a (x, y) VALUES ($1, 'te\xt')`,
		"INSERT INTO a (x, y) VALUES ($1, 'te' \n'xt')",
		"INSERT INTO a (x, y) VALUES ($1, 'text'::citext)",
		"INSERT INTO a (x, y) VALUES ($1, date '2026-11-28')",
		"INSERT INTO a (x, y) VALUES ($1, ' Now')",
		"INSERT INTO a (x, y) VALUES ($1, 'text)",
		"INSERT INTO a (x, y) VALUES ($1, DEFAULT)",
		"INSERT INTO a (x) VALUES ($1::citext)",
		"INSERT INTO a (x) VALUES ($1::public.text)",
		"INSERT INTO a (x) VALUES ($1::numeric(4, 1))",
		"INSERT INTO a (x) VALUES ($1::text[])",
		"INSERT INTO a (x) VALUES ($1::text::uuid)",
		"INSERT INTO a (x) VALUES (now())",
		"INSERT INTO a (x, y) VALUES ($1, $3)",
		"INSERT INTO a (x, y) VALUES ($2, $2)",
		"INSERT INTO a (x) VALUES ($1000000000)",
		"INSERT INTO a (x) VALUES ($0)",
		"INSERT INTO a (x) VALUES ($1), ($2)",
		"INSERT INTO a (x) VALUES ($1) RETURNING x",
		"INSERT INTO a (x) VALUES ($1) ON CONFLICT (x) DO NOTHING RETURNING x",
		"INSERT INTO a (x) VALUES ($1); DROP TABLE a",
		"WITH b AS (SELECT 1) INSERT INTO a (x) VALUES ($1)",
		"INSERT INTO a (x) OVERRIDING SYSTEM VALUE VALUES ($1)",
		"INSERT INTO a (x, y) VALUES ($1, $2) ON CONFLICT (z) DO UPDATE SET y = 1",
		"INSERT INTO a (x, y) VALUES ($1, $2) ON CONFLICT (lower(x)) DO UPDATE SET y = 1",
		"INSERT INTO a (x, y) VALUES ($1, $2) ON CONFLICT (x) WHERE y DO UPDATE SET y = 1",
		"INSERT INTO a (x, y) VALUES ($1, $2) ON CONFLICT ON CONSTRAINT c DO UPDATE SET y = 1",
		"INSERT INTO a (x, y) VALUES ($1, $2) ON CONFLICT (x) DO UPDATE SET y = $2",
		"INSERT INTO a (x, y) VALUES ($1, $2) ON CONFLICT (x) DO UPDATE SET y = f(a.y)",
		`INSERT INTO a (x, y) VALUES ($1, $2) ON CONFLICT (x) DO UPDATE SET y = "f"(a.y)`,
		"INSERT INTO a (x, y) VALUES ($1, $2) ON CONFLICT (x) DO UPDATE SET y = (SELECT count(*) FROM a)",
		"INSERT INTO a (x, y) VALUES ($1, $2) ON CONFLICT (x) DO UPDATE SET y = f 'text'",
		"INSERT INTO a (x, y) VALUES ($1, $2) ON CONFLICT (x) DO UPDATE SET y = 'te' 'xt'",
	} {
		_, _, ok := pipeline.ParseInsert(query)
		require.False(t, ok, query)
	}
}

// FuzzParseInsert: what is accepted keeps its head and its tail, and reads as no
// INSERT of one row any more.
func FuzzParseInsert(f *testing.F) {
	f.Add("INSERT INTO a (x) VALUES ($1)")
	f.Add("INSERT INTO a (x, y, z) VALUES ($2, 'it''s', $1::int)")
	f.Add(`insert into "a".b as c ("x", y) values ($1, $2) on conflict (y) do update set x = excluded.x || c.x`)
	f.Fuzz(func(t *testing.T, query string) {
		many, key, ok := pipeline.ParseInsert(query)
		if !ok {
			return
		}
		_, _, again := pipeline.ParseInsert(many)
		require.False(t, again)
		if strings.Contains(query, "'") { // which may have in it what is looked for
			return
		}
		head, tail, found := strings.Cut(many, " FROM unnest($1")
		require.True(t, found)
		require.True(t, strings.HasPrefix(query, head[:strings.LastIndex(head, "SELECT ")]))
		_, rest, closed := strings.Cut(tail, ")")
		require.True(t, closed)
		if names, after, some := strings.Cut(rest, ")"); some && strings.HasPrefix(names, " AS given (c1") {
			rest = after
		}
		require.True(t, strings.HasSuffix(query, ")"+rest))
		require.Less(t, len(key), len(query))
	})
}
