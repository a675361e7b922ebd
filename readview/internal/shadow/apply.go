package shadow

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// source is what tables are written from: those, and the keys of the rows that differ.
type source struct{ target, rows, keys place }

// Apply writes the difference that [Set.Diff] has found, in the same transaction, to the live tables. With keep, what was
// there before is kept in the shadows' schema, for [Set.Restore]. Afterwards the tables are compared again: [ErrNotEqual]. No row of
// another table is touched: [ErrImpossible] names those that would have to be.
func (s *Set) Apply(ctx context.Context, conn Conn, schema string, keep bool) error {
	if keep {
		if err := s.keep(ctx, conn, schema); err != nil {
			return err
		}
	}
	if err := s.spare(ctx, conn, schema, false); err != nil {
		return err
	}
	if err := s.write(ctx, conn, schema); err != nil {
		return err
	}
	return s.raise(ctx, conn, schema)
}

func before(t *Table) string  { return Name(t.Name, " (before)") }
func changed(t *Table) string { return Name(t.Name, " (changed)") }

// keep makes tables of the live rows that are going to be changed, and of the keys: what has to be done to get them back.
func (s *Set) keep(ctx context.Context, conn Conn, schema string) error {
	for _, t := range s.Tables {
		for _, sql := range []string{
			`CREATE TABLE ` + quote(schema, before(t)) + ` AS SELECT l.* FROM ` + s.different(t) + ` d JOIN ` + s.liveTables(t) + ` l ON ` + t.on("l", "d") + ` WHERE NOT d."(ins)"`,
			`CREATE TABLE ` + quote(schema, changed(t)) + ` AS SELECT ` + list("", t.Key) + `, "(del)" AS "(ins)", "(ins)" AS "(del)" FROM ` + s.different(t),
		} {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return fmt.Errorf("keep the rows of %s: %w", t.Name, err)
			}
		}
	}
	return nil
}

// Restore gives the shadows the content that the live tables had when their difference was written with keep, in one transaction.
func (s *Set) Restore(ctx context.Context, conn Conn, schema string) error {
	back, err := s.loosen(ctx, conn, schema)
	if err != nil {
		return err
	}
	place := func(name func(*Table) string) place { return func(t *Table) string { return quote(schema, name(t)) } }
	kept := source{in(schema), place(before), place(changed)}
	for _, step := range []step{deleteAll, insertAll} {
		if err := each(ctx, conn, s.Tables, step, kept); err != nil {
			return err
		}
	}
	if err := setPath(ctx, conn, s.Path(schema)); err != nil {
		return err
	}
	for _, statement := range back {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	for _, t := range s.Tables {
		if _, err := conn.Exec(ctx, `DROP TABLE `+quote(schema, before(t))+`, `+quote(schema, changed(t))); err != nil {
			return err
		}
	}
	return nil
}

// step is a statement about one table.
type step func(t *Table, from source) string

// loosen drops the foreign keys of the shadows, and returns the statements that make them again.
func (s *Set) loosen(ctx context.Context, conn Conn, schema string) (back []string, err error) {
	live, err := s.definitions(ctx, conn, s.live, s.oids())
	if err != nil {
		return nil, err
	}
	for i, t := range s.Tables {
		for _, p := range live[i] {
			if p.kind != "g reference" {
				continue
			}
			var there bool
			if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass($1) AND conname = $2)`, in(schema)(t), p.name).Scan(&there); err != nil {
				return nil, err
			}
			if there {
				if _, err := conn.Exec(ctx, `ALTER TABLE `+in(schema)(t)+` DROP CONSTRAINT `+quote(p.name)); err != nil {
					return nil, err
				}
				back = append(back, t.filled(p.statement, schema))
			}
		}
	}
	return back, nil
}

// equal looks at the rows once more that differed; at all rows if others may have been changed along with them.
func (s *Set) equal(ctx context.Context, conn Conn, schema string) error {
	for _, t := range s.Tables {
		live, shadow, compared := s.liveTables(t), in(schema)(t), t.compared(nil)
		sql := `SELECT count(*) FROM ` + s.different(t) + ` d LEFT JOIN ` + live + ` l ON ` + t.on("l", "d") + ` LEFT JOIN ` + shadow + ` s ON ` + t.on("s", "d") + `
			WHERE (l.` + quote(t.Key[0]) + ` IS NULL) <> (s.` + quote(t.Key[0]) + ` IS NULL) OR ` + image("l", compared) + ` *<> ` + image("s", compared)
		if len(s.keys) > 0 || s.triggers {
			sql = `SELECT count(*) FROM (` + t.differenceSQL(s.seen(t, s.liveTables, live), s.seen(t, in(schema), shadow)) + `) AS d`
		}
		var left int64
		if err := conn.QueryRow(ctx, sql).Scan(&left); err != nil {
			return err
		}
		if left > 0 {
			return fmt.Errorf("%w: in %s, %d of the rows are not as they were written; a trigger or a rule has changed them", ErrNotEqual, t.Name, left)
		}
	}
	return nil
}

// raise lets the live tables' own sequences go on above what was written.
func (s *Set) raise(ctx context.Context, conn Conn, schema string) error {
	for _, t := range s.Tables {
		for _, c := range t.Columns {
			if !c.Default || c.LeftOut || c.Generated {
				continue
			}
			var live, made *string
			err := conn.QueryRow(ctx, `SELECT pg_get_serial_sequence($1, $3), pg_get_serial_sequence($2, $3)`, s.liveTables(t), in(schema)(t), c.Name).Scan(&live, &made)
			if err == nil && live != nil && made != nil {
				_, err = conn.Exec(ctx, `SELECT setval('`+strings.ReplaceAll(*live, "'", "''")+`', m.last_value) FROM `+*made+` m, `+*live+` l
					WHERE m.is_called AND (NOT l.is_called OR l.last_value < m.last_value)`)
			}
			if err != nil {
				return fmt.Errorf("raise the sequence of %s.%s: %w", t.Name, c.Name, err)
			}
		}
	}
	return nil
}

// parentsFirst returns the tables in the order in which they can be filled, as far as their foreign keys have one.
func (s *Set) parentsFirst() (ordered []*Table) {
	var visit func(t *Table, path []*Table)
	visit = func(t *Table, path []*Table) {
		if slices.Contains(ordered, t) || slices.Contains(path, t) {
			return
		}
		for _, k := range s.keys {
			if k.from == t.Name {
				visit(s.byName(k.to), append(path, t))
			}
		}
		ordered = append(ordered, t)
	}
	for _, t := range s.Tables {
		visit(t, nil)
	}
	return ordered
}

func (s *Set) byName(name string) *Table {
	return s.Tables[slices.IndexFunc(s.Tables, func(t *Table) bool { return t.Name == name })]
}
