package readview

import (
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// record is a projection's row in both tables.
type record struct {
	checkpoint
	name       string
	rebuildTo  eventsourced.Position // where it was before it was reset: below, its tables lack what they had
	status     string                // running, paused, failed, ahead
	programs   programs
	node       string // who holds the lease
	leaseValid bool
	leaseLeft  time.Duration
	rate       float64 // of the node with the lease, events a second
	failure    *consumer.Failure
	parked     int64 // events
	skipped    int64
	fresh      bool // the failure: somebody has tried lately

	publication *int64 // of the other context's relay when it began to read, nil when it is not known
	heard       *int64 // how far that relay is, as the node with the lease knows it; nil when it does not
}

// stalledBy is what is on record of a projection that is stalled.
type stalledBy struct {
	Session  *consumer.Session  `json:"session,omitempty"`  // its own
	Blockers []consumer.Session `json:"blockers,omitempty"` // who hold the lock that it waits for
}

func scanRecord(row pgx.Row) (record, error) {
	var (
		r                record
		leaseLeft        int64
		fresh            *bool
		text, failedName *string
		stack, statement *string
		failedAt, since  *time.Time
		failedEvent      *[16]byte
		failedPosition   *int64
		attempts         *int
		stall            []byte
	)
	err := row.Scan(&r.name, (*int64)(&r.Position), (*int64)(&r.rebuildTo), &r.Generation, &r.status, &r.programs.handled, &r.programs.dropped, &r.programs.superseded,
		&r.programs.version, &r.programs.shape, &r.programs.withdrawn, &r.programs.topic, &r.rate,
		&r.node, &r.leaseValid, &leaseLeft, &fresh, &text, &failedAt, &failedEvent, &failedName, &failedPosition, &since, &attempts, &r.publication, &r.heard,
		&stack, &statement, &r.parked, &r.skipped, &stall)
	if err != nil {
		return record{}, err
	}
	r.Running = r.status == "running"
	r.leaseLeft = time.Duration(leaseLeft) * time.Millisecond
	r.fresh = fresh != nil && *fresh
	if text != nil && failedAt != nil {
		r.failure = &consumer.Failure{Error: *text, Time: failedAt.UTC(), Since: failedAt.UTC()}
		if failedEvent != nil && failedName != nil && failedPosition != nil {
			r.failure.EventID, r.failure.EventName = *failedEvent, *failedName
			r.failure.Position = eventsourced.Position(*failedPosition)
		}
		if since != nil && attempts != nil {
			r.failure.Since, r.failure.Attempts = since.UTC(), *attempts
		}
		if stall != nil {
			r.failure.Stalled = true
			var by stalledBy
			if err := json.Unmarshal(stall, &by); err != nil {
				return record{}, err
			}
			r.failure.Session, r.failure.Blockers = by.Session, by.Blockers
		}
		r.failure.Stack, r.failure.Statement = deref(stack), deref(statement)
	}
	return r, nil
}

func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// columns are those of a failure in readview_states.
func columns(f *consumer.Failure, recorded *string) []any {
	var (
		event    *string // as text, which every mode of pgx takes
		name     *string
		position *int64
	)
	if f.Position != 0 {
		id := f.EventID.String()
		event, name, position = &id, &f.EventName, (*int64)(&f.Position)
	}
	return []any{pgerr.Text(f.Error), f.Time, event, name, position, f.Since, f.Attempts, orNull(f.Stack), orNull(f.Statement), recorded}
}

// orNull is a text as a column has it that may be NULL.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	text = pgerr.Text(text)
	return &text
}
