package pipeline_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

func TestKindsOfStatements(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":       "plain",
		" -- \n": "plain",
		"INSERT INTO a VALUES ('COMMIT; SET x = 1')":                   "plain",
		`UPDATE a SET "commit" = E'\'; COMMIT --' WHERE b = $1`:        "plain",
		"SELECT $$; COMMIT; $$, $a$ $$; ROLLBACK $a$, $1":              "plain",
		"SELECT 1 /* ; COMMIT /* ; */ ; COMMIT */":                     "plain",
		"WITH a AS (SELECT 1) SELECT set_config FROM a":                "session", // a column of that name: slow, not wrong
		"(SELECT 1) UNION (SELECT 2)":                                  "plain",
		"COPY a TO STDOUT":                                             "plain",
		"ALTER TABLE a ADD b INT":                                      "table",
		"create unique index on a (b)":                                 "table",
		"SAVEPOINT a":                                                  "savepoint",
		"rollback work to savepoint a":                                 "savepoint",
		"SET LOCAL a = 1":                                              "local",
		"SET TRANSACTION READ ONLY":                                    "local",
		"set constraints all deferred":                                 "local",
		"SELECT set_config('a', $1, true)":                             "local",
		"SELECT pg_catalog.set_config('a', f('b', true), TRUE), 1":     "local",
		"DECLARE a CURSOR FOR SELECT 1":                                "local",
		"CREATE TEMP TABLE a (b INT) ON COMMIT DROP":                   "local",
		"SELECT set_config('a', $1, false)":                            "session",
		"SELECT set_config('a', $1, $2)":                               "session",
		`SELECT "set_config"('a', $1, false)`:                          "session",
		"SELECT set_config('a', $1, true), set_config('b', $1, false)": "session",
		"SET a = 1":                               "session",
		"/* why */ set /**/ a to 1":               "session",
		"SELECT 1; SET a = 1":                     "session",
		"RESET ALL":                               "session",
		"DO $$ BEGIN END $$":                      "session",
		"CALL a()":                                "session",
		"CREATE LOCAL TEMPORARY TABLE a (b INT)":  "session",
		"SELECT 1 AS a INTO TEMP b":               "session",
		"DECLARE a CURSOR WITH HOLD FOR SELECT 1": "session",
		"WITH l AS (SELECT pg_advisory_lock(1)) INSERT INTO a SELECT 1 FROM l": "session",
		"UNHEARD OF":                    "session",
		"copy a (b)\nfrom stdin":        "copy in",
		"COMMIT":                        "transaction",
		"; ;commit and chain":           "transaction",
		"INSERT INTO a VALUES (1); END": "transaction",
		"/**/--\nROLLBACK":              "transaction",
		"START TRANSACTION":             "transaction",
		"PREPARE TRANSACTION 'a'":       "transaction",
		"ROLLBACK PREPARED 'a'":         "transaction",
		"ABORT":                         "transaction",
	} {
		require.Equal(t, want, pipeline.KindOf(query), query)
	}
}

// FuzzKindOf: whatever comes before or after, a COMMIT of its own is found, unless what
// comes before swallows it.
func FuzzKindOf(f *testing.F) {
	f.Add("SELECT '$$', $a$ ' $a$ /* -- */ -- '")
	f.Add(`E'\\' "a""b" $1 $$`)
	f.Fuzz(func(t *testing.T, query string) {
		require.Equal(t, "transaction", pipeline.KindOf("COMMIT;"+query))
		require.Equal(t, pipeline.KindOf(query), pipeline.KindOf("/* a */"+query))
	})
}
