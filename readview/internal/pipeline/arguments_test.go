package pipeline_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

type text string

// shouted is one that pgx asks for what it is.
type shouted string

func (s shouted) String() string { return string(s) + "!" }

// What a handler gives as an argument becomes what it does when pgx is given it.
func TestArgumentsBecomeWhatPgxMakesOfThem(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(`CREATE TYPE mood AS ENUM ('sad')`)
	for column, value := range map[string]string{
		"BOOL": "t", "INT": "-7", "BIGINT": "7", "FLOAT8": "1.5", "NUMERIC": "1.50", "NUMERIC(3, 1)": "2", "UUID": "00112233-4455-6677-8899-aabbccddeeff",
		"DATE": "2026-11-28", "TIME": "19:30", "TIMESTAMP": "2026-11-28 19:30:00.5", "TIMESTAMPTZ": "2026-11-28 19:30:00+01", "INTERVAL": "1 day",
		"TEXT": "Ängs", "VARCHAR(9)": `a"b`, "BYTEA": "abc", "JSON": `{"a": 1}`, "JSONB": `{"a": 1}`, "XML": "<a/>", "TEXT[]": "{a,NULL}", "INT[]": "{1,2}",
		"mood": "sad", "INET": "::1", "INT4RANGE": "[1,3)",
	} {
		f.exec(`DROP TABLE IF EXISTS it, that; CREATE TABLE it (n INT PRIMARY KEY, v ` + column + `); CREATE TABLE that (LIKE it)`)
		for i, arg := range []any{
			value, &value, text(value), sql.NullString{String: value, Valid: true}, sql.NullString{}, sql.Null[string]{V: value, Valid: true}, sql.Null[string]{},
			(*string)(nil), nil, []byte(value), shouted(value), sql.NullString{String: "other", Valid: true}, text("other"),
		} {
			_, refused := f.pool.Exec(t.Context(), `INSERT INTO that (n, v) VALUES ($1, $2)`, i, arg)
			err := func() error {
				tx := f.begin(pipeline.Options{})
				defer tx.Close()
				if err := tx.Turn(t.Context(), 0).Exec(t.Context(), `INSERT INTO it (n, v) VALUES ($1, $2)`, i, arg); err != nil {
					return err
				}
				return tx.Commit(0)
			}()
			require.Equal(t, refused == nil, err == nil, "%s from %T: %v, %v", column, arg, refused, err)
		}
		require.NotZero(t, f.int(`SELECT count(*) FROM it`))
		require.Zero(t, f.int(`SELECT count(*) FROM it FULL JOIN that USING (n) WHERE it.v::text IS DISTINCT FROM that.v::text OR it IS NULL OR that IS NULL`), column)
	}
}

// A text that may be NULL tears no set, whatever its column is.
func TestTextsThatMayBeNULLGoTogether(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(`CREATE TABLE at (n INT PRIMARY KEY, hour TIME)`)
	tx := f.begin(pipeline.Options{})
	for n := range 250 {
		require.NoError(t, tx.Turn(t.Context(), n).Exec(t.Context(), `INSERT INTO at (n, hour) VALUES ($1, $2)`, n, sql.NullString{String: "19:00", Valid: n%2 == 0}))
	}
	require.NoError(t, tx.Commit(0))
	tx.Close()
	require.Equal(t, 125, f.int(`SELECT count(hour) FROM at`))
	require.Equal(t, 2, f.int(`SELECT count(DISTINCT cmin::text) FROM at`), "the first one, and all others")
}
