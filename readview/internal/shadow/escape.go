package shadow

import (
	"encoding/json"
	"errors"
	"fmt"
)

// TouchedSQL asks, at the end of a transaction whose statements were to go to the shadows in schema $1, what it has locked
// besides, and how many rows of the shadows it has read one after the other. $2 are the live tables, $3 the schema of the
// tables $4, which don't count.
const TouchedSQL = `SELECT jsonb_build_object(
	'locks', coalesce((SELECT jsonb_agg(jsonb_build_object('schema', nspname, 'name', relname, 'live', live, 'writes', writes, 'reads', reads)) FROM (
		SELECT n.nspname, c.relname, c.oid = ANY($2::oid[]) AS live, bool_or(l.mode NOT IN ('AccessShareLock', 'RowShareLock')) AS writes, bool_or(l.mode = 'AccessShareLock') AS reads
		FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND c.relkind IN ('r', 'p', 'S', 'f') AND n.nspname NOT IN ('pg_catalog', $1) AND NOT pg_is_other_temp_schema(n.oid) AND n.oid <> pg_my_temp_schema()
			AND NOT (n.nspname = $3 AND c.relname = ANY($4::text[]))
		GROUP BY 1, 2, 3 ORDER BY 1, 2) AS x), '[]'),
	'scanned', coalesce((SELECT jsonb_object_agg(relname, pg_stat_get_xact_tuples_returned(c.oid)) FROM pg_class c
		WHERE c.relnamespace = to_regnamespace(quote_ident($1)) AND c.relkind = 'r'), '{}'))::text`

// Touched is what TouchedSQL returns.
type Touched struct {
	Locks []struct {
		Schema, Name        string
		Live, Writes, Reads bool
	}
	Scanned map[string]int64 // rows, by shadow
}

// OIDs returns what TouchedSQL takes for its $2.
func (s *Set) OIDs() []int64 {
	var all []int64
	for _, t := range s.Tables {
		all = append(all, int64(t.oid))
	}
	return all
}

// ParseTouched reads what TouchedSQL returns. The error is [ErrEscaped] and names what was touched; read has the
// tables that were read and are not of the set.
func ParseTouched(text string) (touched Touched, read []string, err error) {
	if err := json.Unmarshal([]byte(text), &touched); err != nil {
		return touched, nil, err
	}
	var problems []error
	for _, l := range touched.Locks {
		name := l.Schema + "." + l.Name
		switch {
		case l.Live:
			problems = append(problems, fmt.Errorf("%w: it uses the live table %s. Name it without a schema, in functions and triggers, too", ErrEscaped, name))
		case l.Writes:
			problems = append(problems, fmt.Errorf("%w: it writes %s, which is not one of the projection's Tables: add it to them, or leave it alone (a sequence has to be owned by a column of them)", ErrEscaped, name))
		case l.Reads:
			read = append(read, name)
		}
	}
	return touched, read, errors.Join(problems...)
}
