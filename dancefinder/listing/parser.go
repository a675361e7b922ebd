package listing

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	errNoColumns      = errors.New("expected a row above it that names the columns")
	errEmpty          = errors.New("expected a name")
	errLongCell       = fmt.Errorf("expected at most %d bytes in a cell", MaxCell)
	errTooManyColumns = fmt.Errorf("expected at most %d columns", MaxColumns)
	errEncoding       = errors.New("expected text in UTF-8")
	errControl        = errors.New("expected text without control characters")
)

var cancelled = regexp.MustCompile(`(?i)\binställ(?:t|d|da)(?:\PL|$)`)

// parser turns records into rows.
type parser struct {
	calendar   calendar
	columns    map[string]int // where each column is, nil outside a listing's table
	width      int            // cells of the header
	depth      int            // of the listing's table
	seenHeader bool
	noHeader   HeaderError // what to report if there is none

	date string              // of the last row
	seen map[string]struct{} // keys of the rows of that date
}

// parse returns a row if the record is one. An error that is not a *RowError
// ends the listing.
func (p *parser) parse(rec record) (row Row, ok bool, err error) {
	if rec.kind == tableEnd {
		if rec.depth == p.depth {
			p.columns = nil
		}
		return Row{}, false, nil
	}
	text, cells := rec.text()
	if rec.err == nil && cells == 1 && p.calendar.header(text) {
		return Row{}, false, nil
	}
	if cells == 1 && !rec.outer && (p.columns == nil || rec.depth <= p.depth) {
		p.calendar.unread(text)
	}
	if rec.err == nil {
		if cells == 0 || rec.kind == heading {
			return Row{}, false, nil
		}
		if isHeader, err := p.header(rec); isHeader || err != nil {
			return Row{}, false, err
		}
	}
	if p.columns == nil || rec.depth != p.depth {
		return Row{}, false, p.outside(rec)
	}
	if row, err = p.row(rec); err != nil {
		return Row{}, false, err
	}
	return row, true, nil
}

// outside returns what is wrong with a record outside a listing's table: nothing,
// unless it seems that dances are lost with it.
func (p *parser) outside(rec record) error {
	bad := p.unusable(rec)
	switch {
	case rec.outer || p.columns != nil && rec.depth > p.depth:
		// Its text is in other records as well.
	case bad == nil && p.mayBeRow(rec):
		return &RowError{Line: rec.line, Err: errNoColumns}
	case bad == nil:
	case mayBeMonth(rec), p.mayBeHeader(rec):
		return bad // the dates that follow would be of another month, the dances not be seen
	case p.noHeader.Err == nil:
		p.noHeader.Err = bad
	}
	return nil
}

// mayBeRow tells whether a record looks like a dance, in a table without a header.
func (p *parser) mayBeRow(rec record) bool {
	_, cells := rec.text()
	return p.seenHeader && rec.kind == tableRow && cells >= len(Columns())/2 && slices.ContainsFunc(rec.cells, isDate)
}

// mayBeHeader tells whether a record that can't be used names columns, or is one
// of which nobody knows what it names.
func (p *parser) mayBeHeader(rec record) bool {
	for _, column := range Columns() {
		if p.seenHeader && columnIndex(rec.cells, column) >= 0 {
			return true
		}
	}
	return p.seenHeader && rec.kind == tableRow && (errors.Is(rec.err, errEncoding) || errors.Is(rec.err, errControl))
}

// unusable returns why the cells of a record can't be used, nil if they can.
func (p *parser) unusable(rec record) *RowError {
	if rec.err == nil {
		return nil
	}
	if bad, ok := errors.AsType[*cellError](rec.err); ok && rec.depth == p.depth {
		for column, i := range p.columns {
			if i == bad.cell {
				return &RowError{Line: rec.line, Column: column, Value: bad.value, Err: bad.err}
			}
		}
	}
	return &RowError{Line: rec.line, Err: rec.err}
}

// mayBeMonth tells whether a record that can't be used begins with a month.
func mayBeMonth(rec record) bool {
	text, cells := rec.text()
	if cells != 1 {
		return false
	}
	letters := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, text)
	return slices.ContainsFunc(months, func(month string) bool { return strings.HasPrefix(letters, month[:3]) })
}

// header tells whether the record names the columns, and remembers where they
// are. A record that names only half of them is an error.
func (p *parser) header(rec record) (bool, error) {
	columns := map[string]int{}
	for _, column := range Columns() {
		if i := columnIndex(rec.cells, column); i >= 0 {
			columns[column] = i
		}
	}
	switch {
	case len(columns) == len(Columns()):
		p.columns, p.width, p.depth, p.seenHeader = columns, len(rec.cells), rec.depth, true
		return true, nil
	case len(columns) >= len(Columns())/2:
		return false, &HeaderError{Line: rec.line, Found: slices.Clone(rec.cells)}
	case p.noHeader.Line == 0:
		p.noHeader.Line, p.noHeader.Found = rec.line, slices.Clone(rec.cells)
	}
	return false, nil
}

func columnIndex(cells []string, column string) int {
	return slices.IndexFunc(cells, func(cell string) bool { return strings.EqualFold(cell, column) })
}

// row reads the cells of a row in the order in which they matter, and stops at
// the first that can't be understood.
func (p *parser) row(rec record) (row Row, err error) {
	row.Line = rec.line
	cell := func(column string) string {
		if i := p.columns[column]; i < len(rec.cells) {
			return rec.cells[i]
		}
		return ""
	}
	problem := func(column string, err error) *RowError {
		return &RowError{Line: rec.line, Column: column, Value: cell(column), Err: err}
	}

	if bad := p.unusable(rec); bad != nil {
		return Row{}, bad
	}
	if n := len(rec.cells); n > p.width && strings.Join(rec.cells[p.width:], "") != "" {
		return Row{}, &RowError{Line: rec.line, Err: fmt.Errorf("expected %d cells, found %d", p.width, n)}
	}

	if row.Date, err = p.calendar.parse(cell(ColumnDate)); err != nil {
		return Row{}, problem(ColumnDate, err)
	}

	band, bandTime := cutTime(cell(ColumnBand))
	row.Band, row.Hall, row.Extra = band, cell(ColumnHall), cell(ColumnExtra)
	row.Cancelled = cancelled.MatchString(row.Extra)
	row.City, row.Municipality, row.State = place(cell(ColumnCity), cell(ColumnMunicipality), cell(ColumnState))
	if strings.HasPrefix(strings.ToLower(band), "ej fastställ") {
		row.Skip = SkipUndecided
		return row, nil
	}

	if row.Start, row.End, err = parseTime(cell(ColumnTime)); err != nil {
		return Row{}, problem(ColumnTime, err)
	}
	if bandTime != "" {
		row.Warnings = append(row.Warnings, problem(ColumnBand, ErrBandTime))
		if row.Start == "" {
			row.Start, row.End, _ = parseTime(bandTime) // cutTime finds no others
		}
	}
	if column, _, err := checkTexts(row); err != nil {
		return Row{}, problem(column, err)
	}
	if p.duplicate(row) {
		row.Skip = SkipDuplicate
	}
	return row, nil
}

// checkTexts returns the first of a row's texts that nobody could import, and why.
func checkTexts(row Row) (column, value string, err error) {
	for _, text := range []struct {
		column, value string
		limit         int
		required      bool
	}{
		{ColumnBand, row.Band, MaxName, true},
		{ColumnHall, row.Hall, MaxName, true},
		{ColumnCity, row.City, MaxPlace, false},
		{ColumnMunicipality, row.Municipality, MaxPlace, true},
		{ColumnState, row.State, MaxPlace, true},
		{ColumnExtra, row.Extra, MaxExtra, false},
	} {
		err := checkText(text.value)
		switch n := utf8.RuneCountInString(text.value); {
		case n == 0 && text.required:
			err = errEmpty
		case n > text.limit:
			err = fmt.Errorf("expected at most %d characters, found %d", text.limit, n)
		}
		if err != nil {
			return text.column, text.value, err
		}
	}
	return "", "", nil
}

// maxSeen bounds the memory for rows of one date. No day has so many.
const maxSeen = 10_000

// duplicate tells whether a row of the same date had the same key.
func (p *parser) duplicate(row Row) bool {
	if row.Date != p.date || len(p.seen) >= maxSeen {
		p.date, p.seen = row.Date, map[string]struct{}{}
	}
	key := strings.ToLower(strings.Join(
		[]string{row.Start, row.Band, row.Hall, row.City, row.Municipality, row.State}, "\n"))
	_, found := p.seen[key]
	p.seen[key] = struct{}{}
	return found
}
