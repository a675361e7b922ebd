package pipeline_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

func TestStatementsOfAKey(t *testing.T) {
	t.Parallel()
	const one, two = "unnest($1) AS readview_given (readview_1) ", "unnest($1, $2) AS readview_given (readview_1, readview_2) "
	for query, want := range map[string]string{
		"UPDATE a SET x = x + $2 WHERE y = $1":                                                        "UPDATE a SET x = x + readview_2 FROM " + two + "WHERE y = ANY (ARRAY[readview_1])",
		"update s.a as b set\n\tx = $1, z = 7 -- why\nwhere b.y=$2;":                                  "update s.a as b set\n\tx = readview_1, z = 7 -- why\nFROM " + two + "where b.y=ANY (ARRAY[readview_2]);",
		"UPDATE a b SET x = coalesce($1, b.x), y = (CASE WHEN x > $1 THEN 1 ELSE 2 END) WHERE z = $1": "UPDATE a b SET x = coalesce(readview_1, b.x), y = (CASE WHEN x > readview_1 THEN 1 ELSE 2 END) FROM " + one + "WHERE z = ANY (ARRAY[readview_1])",
		"UPDATE a SET x = x IS DISTINCT FROM $2 WHERE y = $1":                                         "UPDATE a SET x = x IS DISTINCT FROM readview_2 FROM " + two + "WHERE y = ANY (ARRAY[readview_1])",
		`DELETE FROM "A" WHERE "x" = $1`:                                                              `DELETE FROM "A" USING ` + one + `WHERE "x" = ANY (ARRAY[readview_1])`,
		"UPDATE a SET x = 'Closed', y = y || $2::text || ', ' WHERE z = $1::uuid":                     "UPDATE a SET x = 'Closed', y = y || readview_2 || ', ' FROM " + two + "WHERE z = ANY (ARRAY[readview_1])",
		"UPDATE a SET x = CASE WHEN y IN ('b', 'c') THEN 'd' ELSE $1 END WHERE z = $2":                "UPDATE a SET x = CASE WHEN y IN ('b', 'c') THEN 'd' ELSE readview_1 END FROM " + two + "WHERE z = ANY (ARRAY[readview_2])",
		"DELETE FROM a AS b WHERE b.x = $2 AND y = $1":                                                "DELETE FROM a AS b USING " + two + "WHERE b.x = ANY (ARRAY[readview_2]) AND y = ANY (ARRAY[readview_1])",
		"SELECT x, b.y AS z, b.* FROM s.a b WHERE x = $1 /* one */ ; -- end": "SELECT readview_given.readview_n, readview_found.* FROM unnest($1) WITH ORDINALITY AS readview_given (readview_1, readview_n), " +
			"LATERAL (SELECT x, b.y AS z, b.* FROM s.a b WHERE x = ANY (ARRAY[readview_given.readview_1])) AS readview_found",
		"SELECT * FROM a WHERE x = $2 AND y = $1": "SELECT readview_given.readview_n, readview_found.* FROM unnest($1, $2) WITH ORDINALITY AS readview_given (readview_1, readview_2, readview_n), " +
			"LATERAL (SELECT * FROM a WHERE x = ANY (ARRAY[readview_given.readview_2]) AND y = ANY (ARRAY[readview_given.readview_1])) AS readview_found",
		"SELECT * FROM readview_given WHERE x = $1": "",
	} {
		many, _, _, ok := pipeline.ParseKeyed(query)
		require.True(t, ok, query)
		require.Equal(t, want, many)
	}
	_, columns, key, ok := pipeline.ParseKeyed(`UPDATE a SET x = $1 WHERE Y = $3 AND "Z" = $2`)
	require.True(t, ok)
	require.Equal(t, []string{"y", "Z"}, columns)
	require.Equal(t, []int{2, 1}, key)
}

func TestStatementsOfNoKey(t *testing.T) {
	t.Parallel()
	for _, query := range []string{
		"", "SELECT 1", "UPDATE a SET x = $1", "DELETE FROM a", "SELECT x FROM a",
		"UPDATE a SET x = 1 WHERE y = 1",
		"UPDATE a SET x = $1 WHERE y > $2",
		"UPDATE a SET x = $1 WHERE y = $2 OR z = $3",
		"UPDATE a SET x = $1 WHERE y = $2 AND z > 3",
		"UPDATE a SET x = $1 WHERE y = $2 + 1",
		"UPDATE a SET x = $1 WHERE y = $2::citext",
		"UPDATE a SET x = $1 WHERE y = $2::int + 1",
		"UPDATE a SET x = $1 WHERE y = 'b'",
		"UPDATE a SET x = $1 WHERE y = $2 AND z = 'b'",
		"UPDATE a SET x = $1 WHERE (y) = $2",
		"UPDATE a SET x = $1 WHERE c.y = $2",
		"UPDATE a SET x = $1 WHERE y = $2 RETURNING x",
		"UPDATE a SET x = $1 WHERE y = $3",
		"UPDATE a SET x = b.x FROM b WHERE y = $1",
		"UPDATE a SET x = x FROM b WHERE y = $1",
		"UPDATE a SET x = f($1) WHERE y = $2",
		"UPDATE a SET x = DEFAULT WHERE y = $1",
		"UPDATE a SET x = (SELECT count(*) FROM a) WHERE y = $1",
		"UPDATE a SET x = date '2026-11-28' WHERE y = $1",
		"UPDATE a SET x = 'today' WHERE y = $1",
		"UPDATE a SET x = E'text' WHERE y = $1",
		"UPDATE a SET x = $1::int::text WHERE y = $2",
		"UPDATE a SET x = x @@ $1 WHERE y = $2",
		"UPDATE a SET (x, z) = ($1, $2) WHERE y = $3",
		"UPDATE a SET x[1] = $1 WHERE y = $2",
		"UPDATE a SET x = WHERE y = $1",
		"UPDATE a SET x = ($1 WHERE y = $2",
		"UPDATE ONLY a SET x = $1 WHERE y = $2",
		"UPDATE a SET x = $1 WHERE CURRENT OF b",
		"UPDATE a SET x = $1 WHERE y = $2; DROP TABLE a",
		"WITH b AS (SELECT 1) UPDATE a SET x = $1 WHERE y = $2",
		"DELETE FROM ONLY a WHERE x = $1",
		"DELETE FROM a USING b WHERE x = $1",
		"DELETE FROM a WHERE x = $1 RETURNING x",
		"DELETE FROM a WHERE x IN ($1)",
		"SELECT f(x) FROM a WHERE x = $1",
		"SELECT x + 1 FROM a WHERE x = $1",
		"SELECT DISTINCT x FROM a WHERE x = $1",
		"SELECT x FROM a, b WHERE x = $1",
		"SELECT x FROM a JOIN b USING (x) WHERE x = $1",
		"SELECT x FROM a WHERE x = $1 FOR UPDATE",
		"SELECT x FROM a WHERE x = $1 UNION SELECT y FROM b",
		"SELECT x FROM a WHERE x = $1 LIMIT 1",
		"SELECT x INTO b FROM a WHERE x = $1",
	} {
		_, _, _, ok := pipeline.ParseKeyed(query)
		require.False(t, ok, query)
	}
}

// FuzzParseKeyed: what is accepted reads as nothing of the kind any more when it is for many rows.
func FuzzParseKeyed(f *testing.F) {
	f.Add("UPDATE a SET x = $1 WHERE y = $2")
	f.Add(`update "a".b as c set x = (c.x || $2), z = case when z is distinct from 1 then $3 end where c.y = $1 and z = $4 ; -- it`)
	f.Add("DELETE FROM a b WHERE b.y = $1")
	f.Add("UPDATE a SET x = 'it''s ' || $1::text WHERE y = $2::uuid")
	f.Add("SELECT a.*, b AS c FROM a WHERE y = $1")
	f.Fuzz(func(t *testing.T, query string) {
		many, columns, key, ok := pipeline.ParseKeyed(query)
		if !ok {
			return
		}
		require.NotEmpty(t, columns)
		require.Len(t, key, len(columns))
		_, _, inserts := pipeline.ParseInsert(query)
		require.False(t, inserts)
		_, _, _, again := pipeline.ParseKeyed(many)
		require.False(t, again)
	})
}
