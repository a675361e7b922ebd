// Package listing reads and writes listings of dances: tables with the columns
//
//	Datum | Tid | Dansband | Dansställe | Ort | Kommun | Län | Övrigt
//
// (date, time, band, hall, city, municipality, state, extra) as CSV or HTML.
// Listings are written by hand by many people. The package forgives what can
// be understood in one way only, and reports the rest row by row, so that one
// bad row costs one row.
//
// A listing is a stream: reading and writing take the same memory for ten rows
// as for ten million.
package listing

import (
	"errors"
	"io"
	"iter"
)

// The columns of a listing, in the order in which Writer writes them. A reader
// takes them in any order and ignores others.
const (
	ColumnDate         = "Datum"
	ColumnTime         = "Tid"
	ColumnBand         = "Dansband"
	ColumnHall         = "Dansställe"
	ColumnCity         = "Ort"
	ColumnMunicipality = "Kommun"
	ColumnState        = "Län"
	ColumnExtra        = "Övrigt"
)

// Columns returns the names of all columns in their order.
func Columns() []string {
	return []string{
		ColumnDate, ColumnTime, ColumnBand, ColumnHall,
		ColumnCity, ColumnMunicipality, ColumnState, ColumnExtra,
	}
}

// The limits of what is read. A text, cell or row beyond them is a RowError; a
// token of HTML beyond them ends the reading, since its end can't be found.
// Those of texts are the domain's.
const (
	MaxName    = 200      // characters of a band or hall
	MaxPlace   = 100      // characters of a city, municipality or state
	MaxExtra   = 2000     // characters of the extra
	MaxCell    = 4 << 10  // bytes of a cell
	MaxColumns = 64       // cells of a row
	MaxRecord  = 64 << 10 // bytes of a line of CSV, and of what may precede its header
	MaxToken   = 1 << 20  // bytes of a tag or text of HTML
	MaxNesting = 16       // HTML tables within each other
)

// Row is one dance of a listing. Its texts are in Unicode NFC; white space, tabs
// and line breaks among it, is trimmed and collapsed to single blanks, and what
// has no width is left out. A cell with other control characters, or with U+FFFD
// where a character was lost, is a RowError.
// Band, Hall, Municipality and State are never empty, unless Skip is
// SkipUndecided.
type Row struct {
	// Line is where the row begins in what was read, from 1. It is 0 in rows
	// that were made, and ignored by Writer.
	Line int

	// Date is the civil day on which the dance begins, as 2006-01-02. It has no
	// zone, and as text it sorts, compares and prints as a date should.
	Date string

	// Start and End are local times as 15:04, End empty when not known and both
	// empty when the listing has no time. An End that is not after Start is on
	// the following day, the normal case for a dance that begins at 21:00.
	Start, End string

	Band, Hall string

	// City is empty where the listing has none, as for ferries. State is a Swedish
	// state as the listing writes it ("Skåne", "Skåne län"), a country such as
	// "Norge", or [domain.Ferry]. Where a hall abroad or a ferry has no municipality,
	// Municipality repeats State.
	City, Municipality, State string

	// Extra is what else the listing says, often nothing.
	Extra string

	// Cancelled tells that Extra says so, with the word "inställt".
	Cancelled bool

	// Skip tells why the row should not be imported, although nothing is wrong
	// with it. It is empty for most rows.
	Skip SkipReason

	// Warnings are about what was wrong in the row and could be mended.
	Warnings []*RowError
}

// SkipReason is why a row is no dance to import.
type SkipReason string

const (
	// SkipUndecided is for a band that is "Ej fastställt". The other cells of
	// such a row may be empty.
	SkipUndecided SkipReason = "the band is not decided"

	// SkipDuplicate is for a row with the date, start, band and hall of one before
	// it. The first one counts, whatever else differs. Rows of one date are
	// compared as long as they follow each other.
	SkipDuplicate SkipReason = "an earlier row has the same date, time, band and hall"
)

// Options of Read. The zero value is for listings that say which year it is.
type Options struct {
	// Year is the year of a first date that has none, in a listing without month
	// headers such as "December 2026". Defaults to none: such dates are errors.
	Year int
}

// Read reads a listing as CSV (comma, semicolon or tab) or HTML, whichever it
// is, encoded as UTF-8, UTF-16, Windows-1252 or ISO-8859-1. It reads r once, while the sequence is ranged over, and
// does not close it.
//
// The error of a row is a *RowError, and the sequence goes on after it. Any
// other error ends the sequence: a *HeaderError where r is no listing or lacks
// columns, ErrEncoding where it is no text, ErrTooLong where a limit was passed,
// ErrTruncated where a page of HTML is cut off, or what r returned.
//
// Of a page it reads what a person sees. A date may leave out its year, or month and
// year: they follow from the last month header and the rows before, so that January
// follows December 2026 in 2027. An empty cell of a date is the date above it. What
// may be two dates, or several, is a RowError. A weekday that contradicts its date is a RowError, and so is a day that
// follows a heading which seems to name a month but can't be read.
func Read(r io.Reader, opts Options) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		p := parser{calendar: calendar{year: opts.Year}}
		var charset charset
		for rec, err := range records(r, &charset) {
			if err != nil {
				yield(Row{}, err)
				return
			}
			row, ok, err := p.parse(rec)
			if header, is := errors.AsType[*HeaderError](err); is {
				err = charset.explain(header)
			}
			if lost := p.takeLost(); lost != nil && !yield(Row{}, lost) {
				return
			}
			if (ok || err != nil) && !yield(row, err) {
				return
			}
			if err != nil && !isRowError(err) {
				return
			}
		}
		if p.alone != nil && !yield(Row{}, p.alone) {
			return
		}
		if !p.seenHeader {
			yield(Row{}, charset.explain(&p.noHeader))
		}
	}
}
