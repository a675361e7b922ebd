package listing

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

// record is what the readers of CSV and HTML have in common: a row of a table
// before anybody knows what is in it.
type record struct {
	kind  kind
	line  int
	depth int      // of nested HTML tables; 0 in CSV
	outer bool     // whether it has an HTML table within it, and so its text
	cells []string // cleaned
	err   error    // why the cells can't be used

	carried []bool // which cells belong to a row above as well; nil if none do
}

type kind int

const (
	tableRow kind = iota
	tableEnd      // the columns of the table at this depth are known no longer
	heading       // text outside rows that may name a month
)

// records splits r into records, and sets charset. An error ends the sequence.
func records(r io.Reader, charset *charset) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		text, err := decode(r, charset)
		if err != nil {
			yield(record{}, err)
			return
		}
		in := bufio.NewReaderSize(text, 2*MaxRecord)
		head, err := in.Peek(MaxRecord)
		if err != nil && err != io.EOF {
			yield(record{}, err)
			return
		}
		if bytes.HasPrefix(bytes.TrimSpace(head), []byte("<")) {
			readHTML(in, yield)
		} else {
			readCSV(in, head, yield)
		}
	}
}

// cellError is about one cell of a record.
type cellError struct {
	cell  int    // from 0
	value string // what the listing has there
	err   error
}

func (e *cellError) Error() string { return fmt.Sprintf("cell %d: %v", e.cell+1, e.err) }

func (e *cellError) Unwrap() error { return e.err }

// cleanCells cleans cells in place and tells what makes the first of them unusable.
func cleanCells(cells []string) (err error) {
	if len(cells) > MaxColumns {
		return errTooManyColumns
	}
	for i, cell := range cells {
		bad := checkText(cell)
		if len(cell) > MaxCell {
			bad = errLongCell
		}
		if bad != nil && err == nil {
			err = &cellError{i, strings.TrimSpace(cell), bad}
		}
		cells[i] = domain.Clean(cell)
	}
	return err
}

// checkText refuses what has lost its meaning: to leave it out might turn one name
// into another.
func checkText(s string) error {
	if !utf8.ValidString(s) {
		return errNotUTF8
	}
	for _, r := range s {
		if r == unicode.ReplacementChar || unicode.IsControl(r) && !unicode.IsSpace(r) {
			return fmt.Errorf("%w, found %U", errControl, r)
		}
	}
	return nil
}

// text returns the joined text of the record's own cells and how many have any.
func (r record) text() (text string, cells int) {
	for i, cell := range r.cells {
		if cell == "" || i < len(r.carried) && r.carried[i] {
			continue
		}
		if cells++; cells > 1 {
			text += " "
		}
		text += cell
	}
	return text, cells
}

// repeats tells whether all these columns are cells of a row above.
func (r record) repeats(c columns) bool {
	for _, i := range c.at {
		if i >= len(r.carried) || !r.carried[i] {
			return false
		}
	}
	return true
}
