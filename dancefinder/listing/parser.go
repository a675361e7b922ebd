package listing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

var (
	errNoColumns      = errors.New("expected a row above it that names the columns")
	errLongCell       = fmt.Errorf("expected at most %d bytes in a cell", MaxCell)
	errTooManyColumns = fmt.Errorf("expected at most %d columns", MaxColumns)
	errControl        = errors.New("expected text without control characters")
	errNoDate         = errors.New("expected a date: the row above it has none that can be read")
)

// parser turns records into rows.
type parser struct {
	calendar   calendar
	columns    columns // none outside a listing's table
	depth      int     // of the listing's table
	seenHeader bool
	noHeader   HeaderError // what to report if there is none

	above dateAbove // of the row before, for those below that leave it out
	alone *RowError // of a row with a date alone: an error, unless it is the date of rows below
	lost  *RowError // what alone was, now that no row below needs it

	date string              // of the last row
	seen map[string]struct{} // keys of the rows of that date
}

// dateAbove is what an empty cell of a date means.
type dateAbove struct {
	date   string // "" if there is none
	unread bool   // there is one, but it can't be read
}

func (p *parser) inTable(rec record) bool { return p.columns.at != nil && rec.depth == p.depth }

// parse returns a row if the record is one. An error that is not a *RowError
// ends the listing. What lost returns comes before the row.
func (p *parser) parse(rec record) (row Row, ok bool, err error) {
	text, cells := rec.text()
	if cells > 0 || rec.kind == tableEnd && rec.depth == p.depth {
		needed := rec.kind == tableRow && cells > 1 && p.inTable(rec) && leavesOut(p.columns.cell(rec.cells, ColumnDate))
		p.giveUpAlone(needed)
	}
	if rec.kind == tableEnd {
		if rec.depth == p.depth {
			p.columns, p.above = columns{}, dateAbove{}
		}
		return Row{}, false, nil
	}
	if rec.err == nil && (cells == 1 || cells == 2 && rec.kind == tableRow) && p.calendar.header(text) {
		p.above = dateAbove{}
		return Row{}, false, nil
	}
	if cells == 1 && !rec.outer && (p.columns.at == nil || rec.depth <= p.depth) {
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
	if !p.inTable(rec) {
		return Row{}, false, p.outside(rec)
	}
	if rec.err == nil && cells == 1 && isDate(text) {
		return Row{}, false, p.dateAlone(rec, text)
	}
	if row, err = p.row(rec); err != nil {
		return Row{}, false, err
	}
	return row, true, nil
}

// dateAlone takes a row that has nothing but a date.
func (p *parser) dateAlone(rec record, text string) error {
	date, err := p.calendar.parse(text)
	p.above = dateAbove{date, err != nil}
	if err != nil {
		return &RowError{Line: rec.line, Column: ColumnDate, Value: text, Err: err}
	}
	p.alone = &RowError{Line: rec.line, Column: ColumnBand, Err: errEmpty}
	return nil
}

// giveUpAlone decides about a row with a date alone, now that the next one is there
// or none follows.
func (p *parser) giveUpAlone(needed bool) {
	if !needed {
		p.lost = p.alone
	}
	p.alone = nil
}

// takeLost returns the error of a row before the one that was parsed, nil if there
// is none.
func (p *parser) takeLost() *RowError {
	lost := p.lost
	p.lost = nil
	return lost
}

// outside returns what is wrong with a record outside a listing's table: nothing,
// unless it seems that dances are lost with it.
func (p *parser) outside(rec record) error {
	bad := p.unusable(rec)
	switch {
	case rec.outer || p.columns.at != nil && rec.depth > p.depth:
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
	return p.seenHeader && rec.kind == tableRow && cells >= len(Columns())/2 && hasDate(rec.cells)
}

// hasDate tells whether one of the cells is a date, or two of them together.
func hasDate(cells []string) bool {
	for i, cell := range cells {
		if isDate(cell) || i > 0 && isDate(cells[i-1]+" "+cell) {
			return true
		}
	}
	return false
}

// mayBeHeader tells whether a record that can't be used names columns, or is one
// of which nobody knows what it names.
func (p *parser) mayBeHeader(rec record) bool {
	if !p.seenHeader {
		return false
	}
	unread := errors.Is(rec.err, errNotUTF8) || errors.Is(rec.err, errControl)
	return findColumns(rec.cells).named() > 0 || rec.kind == tableRow && unread
}

// unusable returns why the cells of a record can't be used, nil if they can.
func (p *parser) unusable(rec record) *RowError {
	if rec.err == nil {
		return nil
	}
	if bad, ok := errors.AsType[*cellError](rec.err); ok && rec.depth == p.depth {
		if column := p.columns.columnOf(bad.cell); column != "" {
			return &RowError{Line: rec.line, Column: column, Value: bad.value, Err: bad.err}
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
	columns := findColumns(rec.cells)
	switch {
	case p.inTable(rec) && columns.named() == len(Columns())-1 && rec.repeats(columns):
		return true, nil // the second row of a header, below the two cells of the date
	case columns.complete():
		p.columns, p.depth, p.seenHeader, p.above = columns, rec.depth, true, dateAbove{}
		return true, nil
	case columns.named() >= len(Columns())/2:
		return false, &HeaderError{Line: rec.line, Found: slices.Clone(rec.cells)}
	case p.noHeader.Line == 0:
		p.noHeader.Line, p.noHeader.Found = rec.line, slices.Clone(rec.cells)
	}
	return false, nil
}
