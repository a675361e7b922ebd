package pgstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/logarchive"
)

// openDir opens the directory, which must have all that was archived before: readers know one.
func (a *archiving) openDir(known *archived) (*logarchive.Dir, error) {
	dir, err := logarchive.OpenDir(a.options.Dir, known.log)
	if err != nil {
		return nil, err
	}
	for _, s := range known.segments {
		info, err := os.Stat(filepath.Join(a.options.Dir, s.File))
		if err == nil && info.Size() != s.Bytes {
			err = fmt.Errorf("%s: %w (it has %d bytes, not %d)", s.File, logarchive.ErrCorrupt, info.Size(), s.Bytes)
		}
		if err != nil {
			return nil, fmt.Errorf("%s does not have what was archived before: use the same directory, or copy the files there first: %w", a.options.Dir, err)
		}
	}
	return dir, nil
}

// write has the next segment in a file: one that an earlier run had written when it was ended, or a new one.
func (a *archiving) write(ctx context.Context, tx pgx.Tx, dir *logarchive.Dir, known *archived) error {
	var first eventsourced.Position
	if err := tx.QueryRow(ctx, a.store.sql.archiveFirst, int64(known.to), cut(a.options)).Scan((*int64)(&first)); err != nil || first == 0 {
		return err
	}
	left := slices.IndexFunc(dir.Manifest().Segments, func(s logarchive.Segment) bool { return s.First == first })
	if left >= 0 {
		s := dir.Manifest().Segments[left]
		if int64(s.Last) <= cut(a.options) && logarchive.Check(ctx, os.DirFS(a.options.Dir), known.log, s) == nil {
			a.made = s
			return nil
		}
	}
	limits := logarchive.Limits{Events: int64(a.options.SegmentEvents), Bytes: segmentBytes}
	var err error
	a.made, err = dir.Write(ctx, a.events(ctx, tx, known.to, eventsourced.Position(cut(a.options)), true), limits)
	return err
}

// events yields what the table has above one position and up to another.
func (a *archiving) events(ctx context.Context, tx pgx.Tx, after, upTo eventsourced.Position, tell bool) iter.Seq2[eventsourced.Recorded, error] {
	return func(yield func(eventsourced.Recorded, error) bool) {
		for read := int64(0); ; {
			page, err := collect(ctx, tx, a.store.sql.archivePage, int64(after), int64(upTo), archivePage)
			if err != nil {
				yield(eventsourced.Recorded{}, err)
				return
			}
			for _, event := range page {
				if !yield(event, nil) {
					return
				}
			}
			if len(page) == 0 {
				return
			}
			after = page[len(page)-1].Position
			if read += int64(len(page)); tell {
				a.tell(ArchiveWrites, read)
			}
		}
	}
}

// compare reads the file back, as readers will, and compares it with the table.
func (a *archiving) compare(ctx context.Context, tx pgx.Tx, known *archived) error {
	m := a.made
	next, stop := iter.Pull2(logarchive.NewReader(a.store.config.Archive).Read(ctx, known.log, []logarchive.Segment{m}, eventsourced.LogQuery{}))
	defer stop()
	n := int64(0)
	for event, err := range a.events(ctx, tx, known.to, m.Last, false) {
		if err != nil {
			return err
		}
		written, err, ok := next()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("what is written to %s is not where this program reads the archive: Config.Archive must be that directory: %w", a.options.Dir, err)
		case err != nil:
			return err
		case !ok || !reflect.DeepEqual(event, written):
			return fmt.Errorf("%s: %w: it does not have the event at %d as it is in the table", m.File, logarchive.ErrCorrupt, event.Position)
		}
		n++
	}
	if _, _, more := next(); more || n != m.Events {
		return fmt.Errorf("%s: %w: it has %d events, and the table %d", m.File, logarchive.ErrCorrupt, m.Events, n)
	}
	return nil
}
