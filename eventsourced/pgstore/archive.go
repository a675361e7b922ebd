package pgstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/logarchive"
)

const (
	// MinArchiveAge is how long ago events were appended at least that [Store.Archive] takes: an append that is repeated
	// recognises its events by their ids, and in the archive ids are not sought.
	MinArchiveAge = 24 * time.Hour

	// DefaultSegmentEvents is the default of [ArchiveOptions] SegmentEvents.
	DefaultSegmentEvents = 250_000

	segmentBytes = 512 << 20 // of events before they are compressed, from which on a segment ends
)

// ArchiveOptions say what [Store.Archive] does.
type ArchiveOptions struct {
	// Before is the time before which events were appended that are archived: by their positions, at least
	// [MinArchiveAge] ago by the database's clock.
	Before time.Time

	// Dir is the directory, which is made if there is none. It must be the one that the store's [Config.Archive] reads,
	// and have all that was archived before.
	Dir string

	// SegmentEvents is how many events go into a file at most. Defaults to [DefaultSegmentEvents].
	SegmentEvents int

	// DryRun only tells what would be done, and needs no Dir.
	DryRun bool

	// Progress is told of each step, if it is not nil. It is called by the goroutine that archives.
	Progress func(ArchiveProgress)
}

// ArchiveStep is one of the steps of archiving a segment, in this order.
type ArchiveStep string

// The steps.
const (
	ArchiveWrites   ArchiveStep = "write"   // events are written to a file
	ArchiveCompares ArchiveStep = "compare" // the file is read back and compared with the table
	ArchiveRemoves  ArchiveStep = "remove"  // it is registered, and the events are being deleted, in one transaction
	ArchiveRemoved  ArchiveStep = "removed" // which is not committed yet
	ArchiveDone     ArchiveStep = "done"    // it is
)

// ArchiveProgress tells how far a [Store.Archive] is.
type ArchiveProgress struct {
	Step   ArchiveStep
	Events int64 // that were written so far, of all segments
	Total  int64 // that are to be archived
}

// ArchiveReport is what a [Store.Archive] has done, or would do.
type ArchiveReport struct {
	Segments []logarchive.Segment // none after a dry run
	Events   int64                // that are in the archive now and were not before
	Removed  int64                // that the table has no more
	Kept     int64                // of Events, that it still has: the first and the last of each stream
	Bytes    int64                // of the files
	To       eventsourced.Position
}

// Archive moves the oldest events of the log to files, see the package documentation: each segment is written, read back and
// compared, and then registered and deleted from the table in one transaction. It can be killed at any point: nothing is lost,
// nothing is there twice, and asked again it goes on. The report has the segments that are done, also after an error.
//
// Errors: [eventsourced.ErrInvalid] for options that don't do, [ErrTooRecent], [ErrArchiving], [ErrArchived] without
// [Config.Archive], those of package logarchive; anything else comes from below.
func (s *Store) Archive(ctx context.Context, options ArchiveOptions) (report ArchiveReport, err error) {
	options.SegmentEvents = cmp.Or(options.SegmentEvents, DefaultSegmentEvents)
	if options.Progress == nil {
		options.Progress = func(ArchiveProgress) {}
	}
	if err := s.checkArchive(options); err != nil {
		return report, fmt.Errorf("archive the log: %w", err)
	}
	total, err := s.planArchive(ctx, options, &report)
	for err == nil && !options.DryRun {
		run := &archiving{store: s, options: options, total: total, before: report.Events}
		if err = run.segment(ctx); err != nil || run.made.Events == 0 {
			break
		}
		report.Segments = append(report.Segments, run.made)
		report.Events += run.made.Events
		report.Removed += run.removed
		report.Kept += run.kept
		report.Bytes += run.made.Bytes
		report.To = run.made.Last
		options.Progress(ArchiveProgress{ArchiveDone, report.Events, total})
	}
	if err != nil {
		return report, fmt.Errorf("archive the log: %w", translate(err))
	}
	return report, nil
}

func (s *Store) checkArchive(options ArchiveOptions) error {
	var problems []error
	check := func(wrong bool, text string) {
		if wrong {
			problems = append(problems, fmt.Errorf("%w: %s", eventsourced.ErrInvalid, text))
		}
	}
	check(options.Before.IsZero(), "Before is not set")
	check(options.Dir == "" && !options.DryRun, "Dir is empty")
	check(options.SegmentEvents < 0, "SegmentEvents is negative")
	if s.files == nil && !options.DryRun {
		problems = append(problems, fmt.Errorf("%w, before they are: this program could not read them any more", ErrArchived))
	}
	return errors.Join(problems...)
}

// planArchive tells how many events there are to be archived. A dry run's report has what would become of them.
func (s *Store) planArchive(ctx context.Context, options ArchiveOptions, report *ArchiveReport) (total int64, err error) {
	known, err := s.readArchived(ctx, s.pool)
	if err != nil {
		return 0, err
	}
	if err := s.checkAge(ctx, s.pool, options.Before); err != nil {
		return 0, err
	}
	report.To = known.to
	if !options.DryRun {
		err = s.pool.QueryRow(ctx, s.sql.archiveCount, int64(known.to), cut(options)).Scan(&total)
		return total, err
	}
	err = s.pool.QueryRow(ctx, s.sql.archivePlan, int64(known.to), cut(options)).Scan(&report.Events, &report.Removed, (*int64)(&report.To))
	report.Kept = report.Events - report.Removed
	return report.Events, err
}

// cut is the highest position that is archived.
func cut(options ArchiveOptions) int64 { return options.Before.UnixMicro() - 1 }

func (s *Store) checkAge(ctx context.Context, db querier, before time.Time) error {
	var now time.Time
	if err := db.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return err
	}
	if latest := now.Add(-MinArchiveAge); before.After(latest) {
		return fmt.Errorf("%w: before %s, the latest is %s", ErrTooRecent, before.UTC().Format(time.RFC3339), latest.UTC().Format(time.RFC3339))
	}
	return nil
}

const (
	archiveCountSQL = `SELECT count(*) FROM {events} WHERE tstamp > $1 AND tstamp <= $2`
	archivePlanSQL  = `SELECT count(*), count(*) FILTER (WHERE version > 1 AND EXISTS (SELECT FROM {events} l
			WHERE l.aggregate_name = e.aggregate_name AND l.aggregate_id = e.aggregate_id AND l.version > e.version)), coalesce(max(tstamp), $1)
		FROM {events} e WHERE tstamp > $1 AND tstamp <= $2`
	// A role's timeouts are not for this. Each stream is looked up, whatever the planner thinks of the table.
	archiveLockSQL = `SELECT pg_try_advisory_xact_lock(1702260337, {oid}::int), set_config('statement_timeout', '0', true),
		set_config('idle_in_transaction_session_timeout', '0', true), set_config('enable_seqscan', 'off', true),
		set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)`
	archivePageSQL  = `SELECT {columns} FROM {events} WHERE tstamp > $1 AND tstamp <= $2 ORDER BY tstamp LIMIT $3`
	archiveFirstSQL = `SELECT coalesce(min(tstamp), 0) FROM {events} WHERE tstamp > $1 AND tstamp <= $2`
	registerSQL     = `INSERT INTO {log_archive} (first, last, events, names, file, bytes, sha256)
		SELECT $1, $2, $3, $4, $5, $6, $7 WHERE (SELECT coalesce(max(last), 0) FROM {log_archive}) = $8`
	// Of each stream the table keeps the first event and the last one, and what is not archived. What had to stay of earlier
	// segments, as it was the last one, goes too: of the versions between the first and those that are not archived, none may
	// stay behind. An append that expects a version looks for that only, and the next one must not be free; one that expects
	// no stream finds the first.
	removeSQL = `WITH streams AS MATERIALIZED (
			SELECT DISTINCT aggregate_name, aggregate_id FROM {events} WHERE tstamp > $1 AND tstamp <= $2
		), ends AS MATERIALIZED (
			SELECT aggregate_name, aggregate_id, (SELECT e.version FROM {events} e
				WHERE e.aggregate_name = s.aggregate_name AND e.aggregate_id = s.aggregate_id ORDER BY e.version DESC LIMIT 1) AS last FROM streams s
		), removed AS (
			DELETE FROM {events} e USING ends
			WHERE e.aggregate_name = ends.aggregate_name AND e.aggregate_id = ends.aggregate_id
				AND e.version > 1 AND e.version < ends.last AND e.tstamp <= $2
			RETURNING e.tstamp
		) SELECT count(*), count(*) FILTER (WHERE tstamp > $1) FROM removed`
)

// archivePage is how many events are read at once.
const archivePage = 2_000

// archiving is the move of one segment.
type archiving struct {
	store   *Store
	options ArchiveOptions
	total   int64
	before  int64 // events of earlier segments

	made          logarchive.Segment // without events when there are none left
	removed, kept int64
}

func (a *archiving) tell(step ArchiveStep, events int64) {
	a.options.Progress(ArchiveProgress{step, a.before + events, a.total})
}

// segment moves the next one, in a transaction. What it has written is of use to the next try if that is rolled back.
func (a *archiving) segment(ctx context.Context) error {
	return pgx.BeginTxFunc(ctx, a.store.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		locked, settings := false, make([]any, 5)
		if err := tx.QueryRow(ctx, a.store.sql.archiveLock).Scan(append([]any{&locked}, settings...)...); err != nil {
			return err
		}
		if !locked {
			return ErrArchiving
		}
		known, err := a.store.readArchived(ctx, tx)
		if err == nil {
			err = a.store.checkAge(ctx, tx, a.options.Before)
		}
		if err != nil {
			return err
		}
		dir, err := a.openDir(known)
		if err != nil {
			return err
		}
		if err := a.write(ctx, tx, dir, known); err != nil || a.made.Events == 0 {
			return err
		}
		// From here on the next run finds it, if this one does not come to its end.
		if err := dir.Keep(append(known.segments[:len(known.segments):len(known.segments)], a.made)); err != nil {
			return err
		}
		a.tell(ArchiveCompares, a.made.Events)
		if err := a.compare(ctx, tx, known); err != nil {
			return err
		}
		a.tell(ArchiveRemoves, a.made.Events)
		if err := a.remove(ctx, tx, known.to); err != nil {
			return err
		}
		a.tell(ArchiveRemoved, a.made.Events)
		return ctx.Err()
	})
}

// remove registers the segment and deletes its events.
func (a *archiving) remove(ctx context.Context, tx pgx.Tx, end eventsourced.Position) error {
	m := &a.made
	tag, err := tx.Exec(ctx, a.store.sql.register, int64(m.First), int64(m.Last), m.Events, m.Names, m.File, m.Bytes, m.SHA256, int64(end))
	if err == nil && tag.RowsAffected() != 1 {
		err = ErrArchiving
	}
	if err != nil {
		return err
	}
	var here int64
	if err := tx.QueryRow(ctx, a.store.sql.remove, int64(end), int64(m.Last)).Scan(&a.removed, &here); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, a.store.sql.archiveCount, int64(end), int64(m.Last)).Scan(&a.kept); err != nil {
		return err
	}
	if here+a.kept != m.Events {
		return fmt.Errorf("%s has %d events, and the table had %d: nothing was deleted; somebody has changed the table, or a trigger has left events there", m.File, m.Events, here+a.kept)
	}
	return nil
}
