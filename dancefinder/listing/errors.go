package listing

import (
	"errors"
	"fmt"
	"strings"
)

// ErrTooLong is returned by Read where a token of HTML is longer than MaxToken, or
// tables are nested deeper than MaxNesting.
var ErrTooLong = errors.New("too long or too deep")

// ErrTruncated is returned by Read where a page of HTML ends within a table, a tag or
// something else that a whole page closes: the rest of it is missing.
var ErrTruncated = errors.New("the page is cut off: it ends within a table or a tag")

// ErrEncoding is returned by Read where it gets no text, or text in an encoding that it
// does not know: the error says how to convert it. It is in a HeaderError where the
// encoding was guessed and nothing was found.
var ErrEncoding = errors.New("can't read the file as text")

// ErrWeekday is wrapped by the RowError of a date whose weekday is another: nobody
// knows which of them is meant.
var ErrWeekday = errors.New("weekday contradicts the date")

// ErrBandTime is what a row's Warnings wrap where the band's column also holds a time.
// It is taken out of the band's name and counts where the time's column is empty.
var ErrBandTime = errors.New("time in the band's column")

// RowError tells what is wrong with a row and what was expected.
type RowError struct {
	Line   int    // where the row begins, from 1
	Column string // one of Columns, empty if it concerns the whole row
	Value  string // what the listing has there
	Err    error
}

func (e *RowError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("line %d: %v", e.Line, e.Err)
	}
	return fmt.Sprintf("line %d: %s %.100q: %v", e.Line, e.Column, e.Value, e.Err)
}

func (e *RowError) Unwrap() error { return e.Err }

func isRowError(err error) bool {
	_, ok := errors.AsType[*RowError](err)
	return ok
}

// HeaderError is returned by Read where no row names the columns of a listing.
type HeaderError struct {
	Line  int      // of the row that has some of them, or of the first row; 0 if there is none
	Found []string // its cells
	Err   error    // why it may be there and was not found: a *RowError, or an ErrEncoding
}

func (e *HeaderError) Error() string {
	var missing []string
	for _, column := range Columns() {
		if columnIndex(e.Found, column) < 0 {
			missing = append(missing, column)
		}
	}
	var b strings.Builder
	b.WriteString("not a listing: ")
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	fmt.Fprintf(&b, "expected a row with the columns %s", strings.Join(Columns(), ", "))
	switch {
	case e.Err != nil:
		fmt.Fprintf(&b, "; %v", e.Err)
	case len(e.Found) == 0:
		b.WriteString("; found no table")
	default:
		fmt.Fprintf(&b, "; missing %s; found %.300q", strings.Join(missing, ", "), strings.Join(e.Found, ", "))
	}
	return b.String()
}

func (e *HeaderError) Unwrap() error { return e.Err }
