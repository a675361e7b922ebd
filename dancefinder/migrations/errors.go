package migrations

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNewer is returned when the database has migrations that this program does not
// know: a newer one made them. Nothing was changed.
var ErrNewer = errors.New("the database's tables are newer than this program")

// ErrUnknownStep is returned for the number of a step that this program does not have.
// Nothing was changed.
var ErrUnknownStep = errors.New("there is no such step")

// ErrForeign is returned for a database that has tables, but neither DanceFinder's nor
// those of its legacy. The error says what was found. Nothing was changed.
var ErrForeign = errors.New("the database is neither empty nor DanceFinder's")

// ErrRows is what [RowsError] is to errors.Is.
var ErrRows = errors.New("rows keep the database from being migrated")

// RowsError names the rows that a step can't take as they are. Nothing was changed.
type RowsError struct {
	Faults []Fault // the first few
	Total  int
}

// Fault is one row that is at fault.
type Fault struct {
	Table, ID string
	Problem   string
	Row       string // all its values, as JSON
}

// Error has a line for each row.
func (e *RowsError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%v (%d):", ErrRows, e.Total)
	for _, f := range e.Faults {
		fmt.Fprintf(&text, "\n  %s, id %s: %s: %s", f.Table, f.ID, f.Problem, f.Row)
	}
	if more := e.Total - len(e.Faults); more > 0 {
		fmt.Fprintf(&text, "\n  and %d more", more)
	}
	return text.String()
}

// Is tells whether target is [ErrRows].
func (e *RowsError) Is(target error) bool { return target == ErrRows }
