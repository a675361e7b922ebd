package shadow

import (
	"fmt"
	"slices"
	"strings"
)

// through is a foreign key by which a table refers to rows by numbers that a replay gives otherwise. What it refers to is compared: the
// referenced row's key, which comes from the events.
type through struct {
	key     key
	to      *Table
	names   []string // of what is compared, one of each column of to's key
	instead bool     // of the columns, which are left out; otherwise they are compared, too
}

// throughKeys finds them. A table that has no key from the events tells nothing: a column that refers to it stays left out.
func (s *Set) throughKeys() {
	for _, k := range s.keys {
		from, to := s.byName(k.from), s.byName(k.to)
		if to.Key == nil || to.follows {
			continue
		}
		x := through{key: k, to: to}
		follows := false
		for _, name := range k.columns {
			if c := from.column(name); c.refers {
				follows, c.through = true, true
				x.instead = x.instead || c.LeftOut
			}
		}
		if !follows {
			continue
		}
		for _, name := range to.Key {
			x.names = append(x.names, Name(strings.Join(k.columns, ", ")+" -> "+to.Name+"."+name, ""))
		}
		from.through = append(from.through, x)
	}
}

// seen is a table of one side, or what there is of it, with what it refers to on that side.
func (s *Set) seen(t *Table, side place, table string) string {
	if len(t.through) == 0 {
		return table
	}
	columns, joins := "x.*", ""
	for i, x := range t.through {
		alias := fmt.Sprintf("r%d", i)
		var on []string
		for j, column := range x.key.columns {
			on = append(on, alias+"."+quote(x.key.refers[j])+" = x."+quote(column))
		}
		joins += " LEFT JOIN " + side(x.to) + " " + alias + " ON " + strings.Join(on, " AND ")
		for j, column := range x.to.Key {
			columns += ", " + alias + "." + quote(column) + " AS " + quote(x.names[j])
		}
	}
	return "(SELECT " + columns + " FROM " + table + " x" + joins + ")"
}

// referred are the names of what is compared of the rows that the table refers to: all, or only what is compared instead of a column.
func (t *Table) referred(all bool) (names []string) {
	for _, x := range t.through {
		if all || x.instead {
			names = append(names, x.names...)
		}
	}
	return names
}

// row is a row of what is seen of a table as JSON, with the table's columns only.
func (t *Table) row(alias string) string {
	text := "to_jsonb(" + alias + ".*)"
	for _, name := range t.referred(true) {
		text += " - " + literal(name)
	}
	return "(" + text + ")::text"
}

// told are the columns that make a difference, and what is compared instead of columns.
func (t *Table) told() []string { return slices.Concat(t.compared(nil), t.referred(false)) }
