// Package importer brings listings of dances into the domain. It reads rows, sees
// what the log has already, and issues the commands that make up the difference:
// importing a listing twice changes nothing the second time.
package importer

import (
	"context"
	"fmt"
	"iter"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// DefaultWorkers is how many commands are under way at once by default.
const DefaultWorkers = 16

// Log is where the importer finds out what is known already.
type Log interface {
	eventsourced.LogReader
	eventsourced.StreamReader
	eventsourced.Registered
}

// Options of [Import]. The zero value works.
type Options struct {
	// Partial says that the listing has some dances only. Otherwise it has all
	// dances of every month in it, so that a dance which an earlier listing had
	// and this one lacks was withdrawn, and is deleted.
	Partial bool

	// Workers is how many commands are under way at once. Defaults to
	// [DefaultWorkers].
	Workers int

	// Progress is called after each row, from one goroutine, with the number of
	// rows so far. Defaults to nothing.
	Progress func(rows int)

	// Problem is called for each row that can't be imported, from one goroutine
	// at a time: with a [*listing.RowError], which wraps the refusal where it is the
	// domain's. Defaults to nothing.
	Problem func(error)
}

// Result counts what an import did.
type Result struct {
	Rows      int                   // read, those with problems included
	Bands     int                   // created
	Halls     int                   // created
	Created   int                   // dances
	Updated   int                   // dances
	Deleted   int                   // dances, cancelled or withdrawn
	Unchanged int                   // rows that say what is known
	Skipped   int                   // rows that are no dance to import
	Problems  int                   // rows that can't be imported
	Position  eventsourced.Position // of the last event
}

// Events returns how many events the import recorded.
func (r Result) Events() int { return r.Bands + r.Halls + r.Created + r.Updated + r.Deleted }

// Import issues the commands for a listing. A row that can't be imported is
// reported and passed over; as it may stand for any dance, none is taken for
// withdrawn then. Any other error ends the import; what was done so far stays,
// and importing again does the rest.
//
// What a person entered is not wiped: coordinates and the addresses of sources, which
// no listing has, a dance that was deleted, and texts, unless the listing says
// something new. A dance that a person made is the one of a row with the same date,
// start, band and hall; it is never taken for withdrawn.
//
// One import runs at a time, see [Lock]; what is edited by hand meanwhile is safe.
func Import(ctx context.Context, service *domain.Service, log Log, rows iter.Seq2[listing.Row, error], options Options) (Result, error) {
	if options.Workers <= 0 {
		options.Workers = DefaultWorkers
	}
	known, err := readKnown(ctx, log)
	if err != nil {
		return Result{}, fmt.Errorf("import: %w", err)
	}
	i := &run{options: options, service: service, log: log, known: known, again: map[string]struct{}{}}
	err = i.together(ctx, func() error { return i.rows(rows) })
	// Only now all problems are known, also those of the last rows.
	if err == nil && !options.Partial && i.result.Problems == 0 {
		err = i.together(ctx, i.withdraw)
	}
	if err != nil {
		err = fmt.Errorf("import: %w", err)
	}
	return i.result, err
}
