package listing

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

// Writer writes a listing as CSV that Read reads: UTF-8, separated by commas,
// with a row that names the columns, each date with its weekday and year.
// It is not safe for concurrent use.
type Writer struct {
	csv    *csv.Writer
	headed bool
}

// NewWriter returns a Writer to w. It buffers: call Flush when done.
func NewWriter(w io.Writer) *Writer { return &Writer{csv: csv.NewWriter(w)} }

// Write writes a row, whatever its Skip, Warnings and Line. A cancelled row
// gets the word "Inställt" where its Extra lacks it. A row that Read would
// refuse, for its date or its texts, is an error and not written.
func (w *Writer) Write(row Row) error {
	day, err := time.Parse(time.DateOnly, row.Date)
	if err != nil {
		return fmt.Errorf("write listing: %w", err)
	}
	if row.Start == "" && row.End != "" {
		return errors.New("write listing: a row with an end needs a start")
	}
	if column, value, err := checkTexts(row); err != nil {
		return fmt.Errorf("write listing: a row of %s: %s %.100q: %w", row.Date, column, value, err)
	}

	clock := strings.ReplaceAll(row.Start, ":", ".")
	if row.End != "" {
		clock += "-" + strings.ReplaceAll(row.End, ":", ".")
	}
	extra := row.Extra
	if row.Cancelled && !domain.Cancelled(extra) {
		extra = strings.TrimSpace("Inställt " + extra)
	}
	if err := w.header(); err != nil {
		return err
	}
	return w.csv.Write([]string{
		title(weekdays[day.Weekday()]) + " " + row.Date, clock, row.Band, row.Hall,
		row.City, row.Municipality, row.State, extra,
	})
}

// Flush writes what is buffered. A listing without rows has its header then.
// It returns the first error of any write.
func (w *Writer) Flush() error {
	if err := w.header(); err != nil {
		return err
	}
	w.csv.Flush()
	return w.csv.Error()
}

func (w *Writer) header() error {
	if w.headed {
		return nil
	}
	w.headed = true
	return w.csv.Write(Columns())
}

// title makes "Lör" of "lördag".
func title(weekday string) string {
	letters := []rune(weekday)
	return strings.ToUpper(string(letters[:1])) + string(letters[1:3])
}
