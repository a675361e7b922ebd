package logarchive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"slices"
	"sync"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Reader reads an archive's files. It keeps their indexes, about a megabyte for three million events, and the
// blocks that it has read last. It is safe for concurrent use.
type Reader struct {
	files fs.FS

	mu      sync.Mutex
	indexes map[string]*index
	blocks  []cached // the newest last
}

const cachedBlocks = 8

type cached struct {
	file   string
	block  int
	events []eventsourced.Recorded
}

// NewReader returns a reader of the files in an archive's directory, such as os.DirFS(dir).
func NewReader(files fs.FS) *Reader {
	return &Reader{files: files, indexes: map[string]*index{}}
}

// Read yields the events that a query selects of some segments of a log, which are in order. Events may share
// memory with others. Errors: [ErrCorrupt], [ErrOtherLog], [ErrNewer], [ErrNoRandomAccess]; anything else is the
// context's or the file system's. All of the latter name the file.
func (r *Reader) Read(ctx context.Context, log string, segments []Segment, query eventsourced.LogQuery) iter.Seq2[eventsourced.Recorded, error] {
	return func(yield func(eventsourced.Recorded, error) bool) {
		left := query.Limit
		err := r.each(ctx, log, segments, query, func(x *index, i int, load func() ([]eventsourced.Recorded, error)) (more bool, err error) {
			events, err := load()
			if err != nil {
				return false, err
			}
			for k := range events {
				if query.Backwards {
					k = len(events) - 1 - k
				}
				if !query.Selects(events[k]) {
					continue
				}
				if !yield(events[k], nil) {
					return false, nil
				}
				if left--; left == 0 {
					return false, nil
				}
			}
			return true, nil
		})
		if err != nil {
			yield(eventsourced.Recorded{}, err)
		}
	}
}

// Count returns how many events Read would yield, with the same errors. By After, UpTo and Names it
// looks only at the blocks at the bounds.
func (r *Reader) Count(ctx context.Context, log string, segments []Segment, query eventsourced.LogQuery) (n int64, err error) {
	return r.count(ctx, log, segments, query, true)
}

// Estimate returns about what Count would, and looks at indexes only. Only After, UpTo and Names count.
func (r *Reader) Estimate(ctx context.Context, log string, segments []Segment, query eventsourced.LogQuery) (int64, error) {
	return r.count(ctx, log, segments, eventsourced.LogQuery{After: query.After, UpTo: query.UpTo, Names: query.Names}, false)
}

func (r *Reader) count(ctx context.Context, log string, segments []Segment, query eventsourced.LogQuery, exact bool) (n int64, err error) {
	most := int64(query.Limit)
	if most == 0 {
		most = math.MaxInt64
	}
	query.Limit, query.Backwards = 0, false
	indexed := len(query.Streams) == 0 && query.AggregateName == "" && query.Since.IsZero() && query.Until.IsZero() && query.Correlation == ""
	err = r.each(ctx, log, segments, query, func(x *index, i int, load func() ([]eventsourced.Recorded, error)) (bool, error) {
		whole := x.Blocks[i].First > query.After && (query.UpTo == 0 || x.last(i) <= query.UpTo)
		if indexed && (whole || !exact) {
			n += int64(x.named(i, query.Names))
			return n < most, nil
		}
		events, err := load()
		for _, event := range events {
			if query.Selects(event) {
				n++
			}
		}
		return n < most, err
	})
	return min(n, most), err
}

// named returns how many events of the i-th block have one of the names; of all if there are none.
func (x *index) named(i int, names []string) (n int) {
	for k, count := range x.Blocks[i].Names {
		if len(names) == 0 || slices.Contains(names, x.Names[k]) {
			n += count
		}
	}
	return n
}

// each calls visit with each block that may have events that the query selects, in its direction, until that
// says that there need be no more.
func (r *Reader) each(ctx context.Context, log string, segments []Segment, query eventsourced.LogQuery,
	visit func(x *index, i int, load func() ([]eventsourced.Recorded, error)) (more bool, err error)) error {
	for k := range segments {
		s := &segments[k]
		if query.Backwards {
			s = &segments[len(segments)-1-k]
		}
		if s.Last <= query.After || query.UpTo != 0 && s.First > query.UpTo || !s.has(query.Names) {
			continue
		}
		more, err := r.eachOf(ctx, log, s, query, visit)
		if err != nil && ctx.Err() == nil {
			err = named(s.File, err)
		}
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// named adds the file's name, unless the file system has.
func named(file string, err error) error {
	if errors.As(err, new(*fs.PathError)) {
		return err
	}
	return fmt.Errorf("%s: %w", file, err)
}

func (s *Segment) has(names []string) bool {
	return len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return s.Names[name] > 0 })
}

func (r *Reader) eachOf(ctx context.Context, log string, s *Segment, query eventsourced.LogQuery,
	visit func(x *index, i int, load func() ([]eventsourced.Recorded, error)) (more bool, err error)) (more bool, err error) {
	f := &lazyFile{files: r.files, name: s.File}
	defer f.close()
	x, err := r.index(f, log, s)
	if err != nil {
		return false, err
	}
	blocks, err := candidates(f, x, query)
	if err != nil {
		return false, err
	}
	for _, i := range blocks {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		more, err := visit(x, i, func() ([]eventsourced.Recorded, error) { return r.block(f, x, i) })
		if err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// candidates returns the blocks that may have events that a query selects, in its direction.
func candidates(f *lazyFile, x *index, query eventsourced.LogQuery) (blocks []int, err error) {
	if len(query.Streams) > 0 {
		opened, err := f.open()
		if err != nil {
			return nil, err
		}
		for _, stream := range query.Streams {
			some, err := opened.blocksOf(x, stream)
			if err != nil {
				return nil, err
			}
			blocks = append(blocks, some...)
		}
		slices.Sort(blocks)
		blocks = slices.Compact(blocks)
	} else {
		for i := range x.Blocks {
			blocks = append(blocks, i)
		}
	}
	blocks = slices.DeleteFunc(blocks, func(i int) bool {
		return x.last(i) <= query.After || query.UpTo != 0 && x.Blocks[i].First > query.UpTo || x.named(i, query.Names) == 0
	})
	if query.Backwards {
		slices.Reverse(blocks)
	}
	return blocks, nil
}

// index returns a segment's, which must be the one that the log says.
func (r *Reader) index(f *lazyFile, log string, s *Segment) (*index, error) {
	r.mu.Lock()
	x := r.indexes[s.File]
	r.mu.Unlock()
	if x == nil {
		opened, err := f.open()
		if err != nil {
			return nil, err
		}
		if x, err = opened.readIndex(); err != nil {
			return nil, err
		}
	}
	if x.Log != log {
		return nil, fmt.Errorf("%w: of %s, and this one is %s", ErrOtherLog, x.Log, log)
	}
	if x.First != s.First || x.Last != s.Last || x.Events != s.Events {
		return nil, fmt.Errorf("%w, or of another part: it has %d events from %d to %d, and the log says %d from %d to %d",
			ErrOtherLog, x.Events, x.First, x.Last, s.Events, s.First, s.Last)
	}
	r.mu.Lock()
	r.indexes[s.File] = x
	r.mu.Unlock()
	return x, nil
}

// block returns the events of a block.
func (r *Reader) block(f *lazyFile, x *index, i int) ([]eventsourced.Recorded, error) {
	r.mu.Lock()
	at := slices.IndexFunc(r.blocks, func(c cached) bool { return c.file == f.name && c.block == i })
	if at >= 0 {
		found := r.blocks[at]
		r.blocks = append(slices.Delete(r.blocks, at, at+1), found)
		r.mu.Unlock()
		return found.events, nil
	}
	r.mu.Unlock()
	opened, err := f.open()
	if err != nil {
		return nil, err
	}
	events, err := opened.readBlock(x, i)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.blocks) == cachedBlocks {
		r.blocks = slices.Delete(r.blocks, 0, 1)
	}
	r.blocks = append(r.blocks, cached{f.name, i, events})
	return events, nil
}

// lazyFile is a file that is opened when it is needed.
type lazyFile struct {
	files  fs.FS
	name   string
	opened *file
}

func (f *lazyFile) open() (_ *file, err error) {
	if f.opened == nil {
		f.opened, err = openFile(f.files, f.name)
	}
	return f.opened, err
}

func (f *lazyFile) close() {
	if f.opened != nil {
		_ = f.opened.Close()
	}
}
