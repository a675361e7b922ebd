package listing

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

var errEmpty = errors.New("expected a name")

// row reads the cells of a row in the order in which they matter, and stops at
// the first that can't be understood.
func (p *parser) row(rec record) (row Row, err error) {
	row.Line = rec.line
	cells := p.columns.align(rec.cells)
	cell := func(column string) string { return p.columns.cell(cells, column) }
	problem := func(column string, err error) *RowError {
		return &RowError{Line: rec.line, Column: column, Value: cell(column), Err: err}
	}

	// The date comes first whatever else is wrong: rows below may count on it.
	var dateErr error
	if row.Date, dateErr = p.dateOf(rec, cells); dateErr != nil {
		dateErr = problem(ColumnDate, dateErr)
	}
	if bad := p.unusable(rec); bad != nil {
		return Row{}, bad
	}
	if n := len(cells); n > p.columns.width && strings.Join(cells[p.columns.width:], "") != "" {
		return Row{}, &RowError{Line: rec.line, Err: fmt.Errorf("expected %d cells, found %d", p.columns.width, n)}
	}
	if dateErr != nil {
		return Row{}, dateErr
	}

	band, bandTime := cutTime(cell(ColumnBand))
	row.Band, row.Hall, row.Extra = band, cell(ColumnHall), extra(cell(ColumnExtra))
	row.Cancelled = domain.Cancelled(row.Extra)
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

// leavesOut tells whether a date's cell refers to the row above.
func leavesOut(text string) bool { return text == "" || ditto.MatchString(text) }

// dateOf returns the date of a row, which may be in a row above.
func (p *parser) dateOf(rec record, cells []string) (date string, err error) {
	bad, ok := errors.AsType[*cellError](rec.err)
	text := p.columns.cell(cells, ColumnDate)
	switch {
	case ok && p.columns.columnOf(bad.cell) == ColumnDate:
		err = errDate
	case !leavesOut(text):
		date, err = p.calendar.parse(text)
	case p.above.unread, rec.err != nil && !ok && len(cells) < p.columns.at[ColumnDate]+p.columns.dates: // the cell is lost
		err = errNoDate
	case p.above.date == "":
		return "", errDate
	default:
		return p.above.date, nil
	}
	p.above = dateAbove{date, err != nil}
	return date, err
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
