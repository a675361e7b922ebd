package shadow

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// sampleOf is the table with the keys of a table's sample, beside its shadow.
func (s *Set) sampleOf(schema string, t *Table) string {
	for i, other := range s.Tables {
		if other == t {
			return quote(schema, fmt.Sprintf("(sample) %d", i))
		}
	}
	return ""
}

// Sample chooses at most n rows of each table at random, and returns the texts of all that is in them. [Set.Compare] compares
// these rows only, from here on. ok is false when a table has no key to tell its rows by, or no rows.
func (s *Set) Sample(ctx context.Context, conn Conn, schema string, n int) (texts []string, ok bool, err error) {
	for _, t := range s.Tables {
		if t.Key == nil {
			return nil, false, nil
		}
	}
	for _, t := range s.Tables {
		live, keys := s.liveTables(t), s.sampleOf(schema, t)
		if _, err := conn.Exec(ctx, fmt.Sprintf(`CREATE TABLE %s AS SELECT %s FROM %s ORDER BY random() LIMIT %d`, keys, list("", t.Key), live, n)); err != nil {
			return nil, false, fmt.Errorf("take a sample of table %s: %w", t.Name, err)
		}
		rows, err := conn.Query(ctx, `SELECT DISTINCT v.value FROM `+live+` l JOIN `+keys+` k ON `+t.on("l", "k")+`, jsonb_each_text(to_jsonb(l.*)) v WHERE v.value <> ''`)
		if err != nil {
			return nil, false, err
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, false, fmt.Errorf("take a sample of table %s: %w", t.Name, err)
		}
		texts = append(texts, found...)
		ok = ok || len(found) > 0
	}
	s.sampled = true
	return texts, ok, nil
}

// WholeTables has [Set.Compare] compare all rows again.
func (s *Set) WholeTables() { s.sampled = false }

// narrow is a table, or what the sample has of it.
func (s *Set) narrow(schema string, t *Table, table string) string {
	if !s.sampled {
		return table
	}
	return `(SELECT x.* FROM ` + table + ` x JOIN ` + s.sampleOf(schema, t) + ` k ON ` + t.on("x", "k") + `)`
}
