package shadow

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// replace is the form of writing that knows no order in which rows could stand in each other's way: it deletes all that are extra, or have
// other values in a column that a constraint looks at, and the rows of the set that refer to one of those, and so on; then the shadows' rows are
// inserted in their place. In between, no row is left that refers to a deleted one, so no cascade finds any; and what is left is as in the shadows, as far
// as constraints go. Of rows that come back, columns that are left out keep what they have.
func (s *Set) replace(ctx context.Context, conn Conn, schema string, updates func() error) error {
	if err := s.gather(ctx, conn, schema); err != nil {
		return err
	}
	if err := s.spare(ctx, conn, schema, true); err != nil {
		return err
	}
	from := source{s.liveTables, in(schema), s.going}
	parents, circular := s.parentsFirst(), s.circular()
	children := slices.Clone(parents)
	slices.Reverse(children)
	err := together(ctx, conn, children, circular, func(t *Table) []string {
		return []string{deleteRows(t, from, `true`)}
	})
	if err == nil {
		err = updates()
	}
	if err != nil {
		return err
	}
	return together(ctx, conn, parents, circular, func(t *Table) []string {
		return []string{insertBack(t, from), insertMissing(t, source{s.liveTables, in(schema), s.different})}
	})
}

// going is the temporary table with the live rows that are deleted.
func (s *Set) going(t *Table) string { return "pg_temp." + s.goingName(t) }

func (s *Set) goingName(t *Table) string {
	return fmt.Sprintf("readview_going_%d", slices.Index(s.Tables, t))
}

// gather finds the rows that are deleted.
func (s *Set) gather(ctx context.Context, conn Conn, schema string) error {
	for _, t := range s.Tables {
		keyed := t.compared(func(c Column) bool { return !c.keyed })
		_, err := conn.Exec(ctx, `CREATE TEMP TABLE `+s.goingName(t)+` ON COMMIT DROP AS SELECT l.* FROM `+s.different(t)+` d JOIN `+s.liveTables(t)+` l ON `+t.on("l", "d")+`
			LEFT JOIN `+in(schema)(t)+` s ON `+t.on("s", "d")+` WHERE d."(del)" OR `+image("l", keyed)+` *<> `+image("s", keyed))
		if err != nil {
			return err
		}
	}
	for more := true; more; {
		more = false
		for _, k := range s.keys {
			found, err := conn.Exec(ctx, s.referringSQL(k))
			if err != nil {
				return err
			}
			more = more || found.RowsAffected() > 0
		}
	}
	return nil
}

// referringSQL adds to the rows that are deleted those that refer to one of them by a key; of a table that refers to itself, those that refer to these, too.
func (s *Set) referringSQL(k key) string {
	from, to := s.byName(k.from), s.byName(k.to)
	add := `INSERT INTO ` + s.going(from) + ` SELECT l.* FROM ` + s.liveTables(from) + ` l JOIN `
	isNew := ` WHERE NOT EXISTS (SELECT FROM ` + s.going(from) + ` g WHERE ` + from.on("g", "l") + `)`
	if from != to {
		return add + s.going(to) + ` r ON ` + k.leads("l", "r") + isNew
	}
	columns := slices.Concat(k.refers, slices.DeleteFunc(slices.Clone(from.Key), func(name string) bool { return slices.Contains(k.refers, name) }))
	return `WITH RECURSIVE r AS (SELECT ` + list("g", columns) + ` FROM ` + s.going(to) + ` g UNION SELECT ` + list("l", columns) + ` FROM ` + s.liveTables(from) + ` l JOIN r ON ` + k.leads("l", "r") + `)
		` + add + `r ON ` + from.on("l", "r") + isNew
}

// leads returns the condition that a row refers to another one.
func (k key) leads(from, to string) string {
	parts := make([]string, len(k.columns))
	for i, c := range k.columns {
		parts[i] = from + "." + quote(c) + " = " + to + "." + quote(k.refers[i])
	}
	return strings.Join(parts, " AND ")
}

// insertBack inserts the shadow's rows for those that were deleted.
func insertBack(t *Table, from source) string {
	columns := t.names(func(c Column) bool { return !c.Generated })
	values := make([]string, len(columns))
	for i, name := range columns {
		side := "s"
		if t.column(name).LeftOut {
			side = "g"
		}
		values[i] = list(side, []string{name})
	}
	return `INSERT INTO ` + from.target(t) + ` (` + list("", columns) + `) OVERRIDING SYSTEM VALUE
		SELECT ` + strings.Join(values, ", ") + ` FROM ` + from.keys(t) + ` g JOIN ` + from.rows(t) + ` s ON ` + t.on("s", "g")
}

// circular tells that the tables refer to each other in a circle: no order is one of parents and children.
func (s *Set) circular() bool {
	order := s.parentsFirst()
	return slices.ContainsFunc(s.keys, func(k key) bool {
		return slices.Index(order, s.byName(k.to)) > slices.Index(order, s.byName(k.from))
	})
}

// together runs the statements of each table as one, or those of all tables: foreign keys are looked at when a statement has ended.
func together(ctx context.Context, conn Conn, tables []*Table, atOnce bool, statements func(*Table) []string) error {
	var names, all []string
	for i, t := range tables {
		names, all = append(names, t.Name), append(all, statements(t)...)
		if atOnce && i < len(tables)-1 {
			continue
		}
		sql := all[len(all)-1]
		for j := range len(all) - 1 {
			all[j] = fmt.Sprintf(`w%d AS (%s)`, j, all[j])
		}
		if len(all) > 1 {
			sql = `WITH ` + strings.Join(all[:len(all)-1], ", ") + ` ` + sql
		}
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("write table %s: %w", strings.Join(names, ", "), err)
		}
		names, all = nil, nil
	}
	return nil
}
