package shadow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Change is how many rows of a table differ from those of its shadow.
type Change struct {
	Table                      string
	Rows                       int64 // of the shadow
	Inserted, Updated, Deleted int64 // rows that the live table lacks, has otherwise, has besides
	Renumbered                 int64 // of those that it has otherwise: in nothing but Drawn
	Drawn                      []string
	LeftOut                    []Column // those that make no difference to a verification: Drawn are among them
}

// Any tells whether there are any.
func (c Change) Any() bool { return c.Inserted+c.Updated+c.Deleted > 0 }

// Appliable returns [ErrImpossible] with what keeps the difference from being written, or, when it is to be judged before, from telling
// rows that differ from those whose numbers do.
func (s *Set) Appliable(judged bool) error {
	var problems []error
	for _, t := range s.Tables {
		switch {
		case t.follows && judged:
			problems = append(problems, fmt.Errorf("table %s has no key that a replay makes again: of %s one follows a column that is no function of the events; add a UNIQUE constraint over columns that are NOT NULL and come from the events", t.Name, strings.Join(t.Key, ", ")))
		case t.Key == nil && t.drawn != nil:
			problems = append(problems, fmt.Errorf("table %s has no key that a replay makes again: %s is filled by a sequence, or left out; add a UNIQUE constraint over columns that are NOT NULL and come from the events, or swap", t.Name, strings.Join(t.drawn, ", ")))
		case t.Key == nil:
			problems = append(problems, fmt.Errorf("table %s has no key: add a PRIMARY KEY, or a UNIQUE constraint over columns that are NOT NULL, or swap", t.Name))
		}
	}
	problems = append(problems, s.numbersReferredTo()...)
	if len(problems) > 0 {
		return fmt.Errorf("%w: %w", ErrImpossible, errors.Join(problems...))
	}
	return nil
}

// numbersReferredTo are the foreign keys to what sequences fill, by which writing the numbers of a replay would fail, or would let rows
// refer to others than before.
func (s *Set) numbersReferredTo() (problems []error) {
	for _, k := range slices.Concat(s.foreign, s.keys) {
		to := s.byName(k.to)
		for i, name := range k.refers {
			column := to.column(name)
			if column.Why == "" {
				continue
			}
			text := fmt.Sprintf("the foreign key %s of %s refers to %s.%s, of which a replay gives other values (%s), ", k.name, k.from, k.to, name, column.Why)
			elsewhere := !slices.ContainsFunc(s.Tables, func(t *Table) bool { return t.Name == k.from })
			switch {
			case elsewhere && !column.LeftOut && k.onUpdate != "c":
				problems = append(problems, fmt.Errorf("%sand rows there keep the old ones; declare the column in NotFromLog, then rows keep theirs, or let the key refer to one that comes from the events", text))
			case elsewhere:
			case column.LeftOut && !s.byName(k.from).column(k.columns[i]).LeftOut:
				problems = append(problems, fmt.Errorf("%sand NotFromLog, which lets the rows of %[2]s keep theirs, would let rows of %[3]s refer to other rows; don't declare it, or let the key refer to a column that comes from the events", text, k.to, k.from))
			}
		}
	}
	return problems
}

func (t *Table) column(name string) *Column {
	return &t.Columns[slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })]
}

// compared are the columns that make a difference.
func (t *Table) compared(but func(Column) bool) []string {
	return t.names(func(c Column) bool { return !c.LeftOut && (but == nil || !but(c)) })
}

func (t *Table) names(of func(Column) bool) (names []string) {
	for _, c := range t.Columns {
		if of(c) {
			names = append(names, c.Name)
		}
	}
	return names
}

// drawnOnly are the columns with numbers of sequences that make a difference all the same: what is written has one replay's numbers.
func (t *Table) drawnOnly() (names []string) {
	return t.compared(func(c Column) bool { return !c.Numbered })
}

// leftOut are the columns that a verification leaves out.
func (t *Table) leftOut() (columns []Column) {
	for _, c := range t.Columns {
		if c.Why != "" && !c.through {
			columns = append(columns, c)
		}
	}
	return columns
}

// list returns columns for a statement, of the alias if it is not "".
func list(alias string, columns []string) string {
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = quote(c)
		if alias != "" {
			quoted[i] = alias + "." + quoted[i]
		}
	}
	return strings.Join(quoted, ", ")
}

// image returns columns as a record, whose comparison works for every type.
func image(alias string, columns []string) string { return "ROW(" + list(alias, columns) + ")::record" }

// on returns the condition that two rows have the same key.
func (t *Table) on(one, other string) string {
	parts := make([]string, len(t.Key))
	for i, c := range t.Key {
		parts[i] = one + "." + quote(c) + " = " + other + "." + quote(c)
	}
	return strings.Join(parts, " AND ")
}

// place says where the tables of one side are.
type place func(*Table) string

func (s *Set) liveTables(t *Table) string { return quote(t.Schema, t.Name) }

func in(schema string) place { return func(t *Table) string { return quote(schema, t.Name) } }

// different is the temporary table with the keys of the rows that differ.
func (s *Set) different(t *Table) string {
	return fmt.Sprintf("pg_temp.readview_different_%d", slices.Index(s.Tables, t))
}

// prepare sets what comparing needs, to the end of the transaction.
func prepare(ctx context.Context, conn Conn) error {
	_, err := conn.Exec(ctx, `SELECT set_config('row_security', 'off', true), set_config('work_mem', '64MB', true)`)
	return err
}

// Diff finds the rows that differ, in a transaction, for [Set.Apply] in the same one. Tables without a key are refused before: [Set.Appliable].
func (s *Set) Diff(ctx context.Context, conn Conn, schema string) (changes []Change, err error) {
	if err := prepare(ctx, conn); err != nil {
		return nil, err
	}
	for _, t := range s.Tables {
		if _, err := conn.Exec(ctx, `DROP TABLE IF EXISTS `+s.different(t)); err != nil {
			return nil, err
		}
		if _, err := conn.Exec(ctx, `CREATE TEMP TABLE `+strings.TrimPrefix(s.different(t), "pg_temp.")+` ON COMMIT DROP AS `+t.differenceSQL(s.seen(t, s.liveTables, s.liveTables(t)), s.seen(t, in(schema), in(schema)(t)))); err != nil {
			return nil, fmt.Errorf("compare table %s: %w", t.Name, err)
		}
		c := Change{Table: t.Name, Drawn: t.drawnOnly(), LeftOut: t.leftOut()}
		err := conn.QueryRow(ctx, `SELECT count(*) FILTER (WHERE "(ins)"), count(*) FILTER (WHERE NOT "(ins)" AND NOT "(del)"), count(*) FILTER (WHERE "(del)"), count(*) FILTER (WHERE "(drawn)"), (SELECT count(*) FROM `+in(schema)(t)+`)
			FROM `+s.different(t)).Scan(&c.Inserted, &c.Updated, &c.Deleted, &c.Renumbered, &c.Rows)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// differenceSQL selects, of what is seen of both, the keys of the rows that differ: (ins) is lacking in live, (del) in shadow, (drawn) differs in nothing but what
// sequences fill; columns of the table may have any other name.
func (t *Table) differenceSQL(live, shadow string) string {
	key := quote(t.Key[0])
	compared, drawn := t.told(), `false`
	if t.drawnOnly() != nil {
		others := append(t.compared(func(c Column) bool { return c.Numbered }), t.referred(true)...)
		drawn = `l.` + key + ` IS NOT NULL AND s.` + key + ` IS NOT NULL AND ` + image("l", others) + ` *= ` + image("s", others)
	}
	return `SELECT ` + list("", t.Key) + `, l.` + key + ` IS NULL AS "(ins)", s.` + key + ` IS NULL AS "(del)", ` + drawn + ` AS "(drawn)"
		FROM ` + live + ` l FULL JOIN ` + shadow + ` s USING (` + list("", t.Key) + `)
		WHERE l.` + key + ` IS NULL OR s.` + key + ` IS NULL OR ` + image("l", compared) + ` *<> ` + image("s", compared)
}

// Name returns a name of a schema or a table: that much of base as fits, with the suffix. Other bases have other names.
func Name(base, suffix string) string {
	const longest = 63 // bytes; the server cuts the rest
	if len(base)+len(suffix) <= longest {
		return base + suffix
	}
	sum := sha256.Sum256([]byte(base))
	tail := "_" + hex.EncodeToString(sum[:])[:12] + suffix
	return strings.ToValidUTF8(base[:max(0, longest-len(tail))], "") + tail
}
