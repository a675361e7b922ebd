package listing

import (
	"slices"
	"strings"
)

// synonyms are what listings call columns besides their names. One of them counts
// only where no other column could be meant.
var synonyms = map[string][]string{
	ColumnTime: {"Klockslag"},
	ColumnBand: {"Band", "Orkester"},
	ColumnHall: {"Dansbana", "Lokal", "Danslokal", "Dansplats", "Plats"},
	ColumnCity: {"Plats", "Stad"},
}

// columns are where a table has which column. None are those of no listing.
type columns struct {
	at    map[string]int
	width int // cells of the header
	dates int // how many cells make up a date: the weekday may have one of its own
}

// findColumns returns the columns that cells name.
func findColumns(cells []string) columns {
	c := columns{at: map[string]int{}, width: len(cells), dates: 1}
	taken := map[int]bool{}
	take := func(column string, i int) { c.at[column], taken[i] = i, true }
	for _, column := range Columns() {
		if i := columnIndex(cells, column); i >= 0 {
			take(column, i)
		}
	}
	// In this order, for a place is the hall before it is the city.
	for _, column := range []string{ColumnTime, ColumnBand, ColumnHall, ColumnCity} {
		if _, ok := c.at[column]; ok {
			continue
		}
		if i, ok := onlyOne(cells, synonyms[column], taken); ok {
			take(column, i)
		}
	}
	if i, ok := c.at[ColumnDate]; ok {
		for i+c.dates < len(cells) && cells[i+c.dates] == "" {
			c.dates++
		}
	}
	return c
}

// onlyOne returns the cell that has one of the names, if only one has. A place
// besides a hall is none.
func onlyOne(cells, names []string, taken map[int]bool) (at int, ok bool) {
	found := -1
	for i, cell := range cells {
		if taken[i] || !slices.ContainsFunc(names, func(name string) bool { return isColumn(cell, name) }) {
			continue
		}
		if found >= 0 && isColumn(cell, "Plats") {
			continue
		}
		if found >= 0 && !isColumn(cells[found], "Plats") {
			return 0, false
		}
		found = i
	}
	return found, found >= 0
}

func columnIndex(cells []string, column string) int {
	return slices.IndexFunc(cells, func(cell string) bool { return isColumn(cell, column) })
}

func isColumn(cell, name string) bool { return strings.EqualFold(strings.TrimSuffix(cell, ":"), name) }

// named counts the columns that cells name, in whatever words.
func (c columns) named() int { return len(c.at) }

// complete tells whether all columns are there.
func (c columns) complete() bool { return len(c.at) == len(Columns()) }

// cell returns what a row has in a column, a date of two cells as one text.
func (c columns) cell(cells []string, column string) string {
	i, n := c.at[column], 1
	if column == ColumnDate {
		n = c.dates
	}
	if i >= len(cells) {
		return ""
	}
	return strings.TrimSpace(strings.Join(cells[i:min(i+n, len(cells))], " "))
}

// columnOf returns the column that a cell belongs to, "" for none.
func (c columns) columnOf(cell int) string {
	for column, i := range c.at {
		if i == cell || column == ColumnDate && i < cell && cell < i+c.dates {
			return column
		}
	}
	return ""
}

// align leaves out the empty cell that some rows have after the city, where a row is
// longer than the header and can't be meant in another way.
func (c columns) align(cells []string) []string {
	at := c.at[ColumnMunicipality]
	if len(cells) != c.width+1 || at != c.at[ColumnCity]+1 || cells[at] != "" {
		return cells
	}
	shorter := slices.Delete(slices.Clone(cells), at, at+1)
	asItIs, without := c.hasState(cells) && cells[c.width] == "", c.hasState(shorter)
	if without && !asItIs {
		return shorter
	}
	return cells
}

// hasState tells whether there is a state in the place for it.
func (c columns) hasState(cells []string) bool {
	_, municipality, state := place(c.cell(cells, ColumnCity), c.cell(cells, ColumnMunicipality), c.cell(cells, ColumnState))
	return municipality != "" && isState(state)
}
