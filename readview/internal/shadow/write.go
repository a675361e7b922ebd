package shadow

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// write writes the rows that differ, in the first form after which the tables are equal. Constraints that can wait do until then.
func (s *Set) write(ctx context.Context, conn Conn, schema string) error {
	parents := s.parentsFirst()
	children := slices.Clone(parents)
	slices.Reverse(children)
	from := source{s.liveTables, in(schema), s.different}
	all := func(tables []*Table, step step) func() error {
		return func() error { return each(ctx, conn, tables, step, from) }
	}
	deletes, updates, inserts := all(children, deleteExtra), all(parents, update), all(parents, insertMissing)
	forms := [][]func() error{{deletes, updates, inserts}, {inserts, updates, deletes}, {func() error { return s.replace(ctx, conn, schema, updates) }}}
	if slices.ContainsFunc(s.Tables, func(t *Table) bool { return t.always }) {
		forms = forms[2:] // what can't be updated is deleted and inserted again
	}
	var before error
	for _, form := range forms {
		err := s.try(ctx, conn, schema, form)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrImpossible) && before != nil:
			return fmt.Errorf("%w; row by row: %w", err, Detailed(before))
		case !pgerr.Violated(err) && !errors.Is(err, ErrNotEqual):
			return err
		}
		if _, err := conn.Exec(ctx, `ROLLBACK TO SAVEPOINT readview_write`); err != nil {
			return err
		}
		before = err
	}
	return Detailed(before)
}

// try writes in one form, after a savepoint, and looks at what came of it.
func (s *Set) try(ctx context.Context, conn Conn, schema string, form []func() error) error {
	execute := func(sql string) func() error {
		return func() error { _, err := conn.Exec(ctx, sql); return err }
	}
	steps := slices.Concat([]func() error{execute(`SAVEPOINT readview_write`), execute(`SET CONSTRAINTS ALL DEFERRED`)}, form,
		[]func() error{execute(`SET CONSTRAINTS ALL IMMEDIATE`), func() error { return s.equal(ctx, conn, schema) }, execute(`RELEASE SAVEPOINT readview_write`)})
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// each runs a step for tables, one after the other.
func each(ctx context.Context, conn Conn, tables []*Table, step step, from source) error {
	for _, t := range tables {
		if _, err := conn.Exec(ctx, step(t, from)); err != nil {
			return fmt.Errorf("write table %s: %w", t.Name, err)
		}
	}
	return nil
}

func deleteExtra(t *Table, from source) string { return deleteRows(t, from, `d."(del)"`) }

func deleteAll(t *Table, from source) string { return deleteRows(t, from, `NOT d."(ins)"`) }

func deleteRows(t *Table, from source, which string) string {
	return `DELETE FROM ` + from.target(t) + ` l USING ` + from.keys(t) + ` d WHERE ` + t.on("l", "d") + ` AND ` + which
}

func update(t *Table, from source) string {
	columns := t.compared(func(c Column) bool { return c.Generated || c.Always })
	return `UPDATE ` + from.target(t) + ` l SET (` + list("", columns) + `) = ROW(` + list("s", columns) + `)
		FROM ` + from.keys(t) + ` d JOIN ` + from.rows(t) + ` s ON ` + t.on("s", "d") + ` WHERE ` + t.on("l", "d") + ` AND NOT d."(ins)" AND NOT d."(del)"`
}

func insertMissing(t *Table, from source) string { return insert(t, from, `d."(ins)"`) }

func insertAll(t *Table, from source) string { return insert(t, from, `NOT d."(del)"`) }

// insert inserts rows. What is left out takes its default, if it has one.
func insert(t *Table, from source, which string) string {
	columns := t.names(func(c Column) bool { return !c.Generated && !(c.LeftOut && c.Default) })
	return `INSERT INTO ` + from.target(t) + ` (` + list("", columns) + `) OVERRIDING SYSTEM VALUE
		SELECT ` + list("s", columns) + ` FROM ` + from.keys(t) + ` d JOIN ` + from.rows(t) + ` s ON ` + t.on("s", "d") + ` WHERE ` + which
}
