package shadow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// source is what tables are written from: those, and the keys of the rows that differ.
type source struct {
	target, rows, keys place
	again              func() error // finds the rows that differ once more, as some may have gone along with others; may be nil
}

// Apply writes the difference that [Set.Diff] has found, in the same transaction, to the live tables. With keep, what was
// there before is kept in the shadows' schema, for [Set.Restore]. Afterwards the tables are compared again: [ErrNotEqual].
func (s *Set) Apply(ctx context.Context, conn Conn, schema string, keep bool) error {
	if keep {
		if err := s.keep(ctx, conn, schema); err != nil {
			return err
		}
	}
	from := source{s.liveTables, in(schema), s.different, func() error {
		_, err := s.Diff(ctx, conn, schema)
		return err
	}}
	if err := s.write(ctx, conn, from, false); err != nil {
		return err
	}
	if err := s.equal(ctx, conn, schema); err != nil {
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
	if err := s.write(ctx, conn, source{in(schema), place(before), place(changed), nil}, true); err != nil {
		return err
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

// write writes the rows that differ, in the first form that works. loose is for tables without foreign keys.
func (s *Set) write(ctx context.Context, conn Conn, from source, loose bool) error {
	type round struct {
		step   step
		tables []*Table
		again  bool // look before
	}
	parents := s.parentsFirst()
	children := slices.Clone(parents)
	slices.Reverse(children)
	replace := []round{{deleteAll, children, false}, {insertAll, parents, true}}
	forms := [][]round{
		{{deleteExtra, children, false}, {update, parents, false}, {insertMissing, parents, false}},
		{{insertMissing, parents, false}, {update, parents, false}, {deleteExtra, children, false}},
	}
	if slices.ContainsFunc(s.Tables, func(t *Table) bool { return t.always }) {
		forms = forms[:1] // those are deleted before they are inserted again
	}
	cascade := s.cascade("")
	if loose {
		forms = nil
	}
	if cascade == nil || loose {
		forms = append(forms, replace)
	}
	var problems []error
	for _, form := range forms {
		if _, err := conn.Exec(ctx, `SAVEPOINT readview_write`); err != nil {
			return err
		}
		err := func() error {
			for _, r := range form {
				if r.again && from.again != nil {
					if err := from.again(); err != nil {
						return err
					}
				}
				for _, t := range r.tables {
					if t.always && r.step(t, from) == "" {
						continue
					}
					if _, err := conn.Exec(ctx, r.step(t, from)); err != nil {
						return fmt.Errorf("write table %s: %w", t.Name, err)
					}
				}
			}
			_, err := conn.Exec(ctx, `RELEASE SAVEPOINT readview_write`)
			return err
		}()
		if err == nil {
			return nil
		}
		problems = append(problems, err)
		if !pgerr.Violated(err) {
			return err
		}
		if _, err := conn.Exec(ctx, `ROLLBACK TO SAVEPOINT readview_write`); err != nil {
			return err
		}
	}
	err := errors.Join(problems...)
	if cascade != nil {
		err = fmt.Errorf("%w; rows can't be deleted and inserted again, as the foreign key %s of %s would delete or change rows there", err, cascade.name, cascade.from)
	}
	return err
}

func deleteExtra(t *Table, from source) string {
	if t.always {
		return deleteAll(t, from)
	}
	return `DELETE FROM ` + from.target(t) + ` l USING ` + from.keys(t) + ` d WHERE ` + t.on("l", "d") + ` AND d."(del)"`
}

func deleteAll(t *Table, from source) string {
	return `DELETE FROM ` + from.target(t) + ` l USING ` + from.keys(t) + ` d WHERE ` + t.on("l", "d") + ` AND NOT d."(ins)"`
}

func update(t *Table, from source) string {
	if t.always {
		return ""
	}
	columns := t.compared(func(c Column) bool { return c.Generated || c.Always })
	return `UPDATE ` + from.target(t) + ` l SET (` + list("", columns) + `) = ROW(` + list("s", columns) + `)
		FROM ` + from.keys(t) + ` d JOIN ` + from.rows(t) + ` s ON ` + t.on("s", "d") + ` WHERE ` + t.on("l", "d") + ` AND NOT d."(ins)" AND NOT d."(del)"`
}

func insertMissing(t *Table, from source) string {
	if t.always {
		return insertAll(t, from)
	}
	return insert(t, from, `d."(ins)"`)
}

func insertAll(t *Table, from source) string { return insert(t, from, `NOT d."(del)"`) }

// insert inserts rows. What is left out takes its default, if it has one.
func insert(t *Table, from source, which string) string {
	var columns []string
	for _, c := range t.Columns {
		if !c.Generated && !(c.LeftOut && c.Default) {
			columns = append(columns, c.Name)
		}
	}
	return `INSERT INTO ` + from.target(t) + ` (` + list("", columns) + `) OVERRIDING SYSTEM VALUE
		SELECT ` + list("s", columns) + ` FROM ` + from.keys(t) + ` d JOIN ` + from.rows(t) + ` s ON ` + t.on("s", "d") + ` WHERE ` + which
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
			return fmt.Errorf("%w: in %s, %d of the rows are not as they were written; a trigger, a rule or a cascade has changed them", ErrNotEqual, t.Name, left)
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
