package logarchive

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Dir is an archive's directory, for who writes it. There must be one writer at a time, which
// the log has to see to. It is not safe for concurrent use.
type Dir struct {
	path     string
	manifest Manifest
}

// OpenDir opens the archive of a log, with the id of [eventsourced.Identified], and makes the directory if there is
// none. Unfinished files are removed. Errors: [eventsourced.ErrInvalid] when path or log is empty, [ErrOtherLog], [ErrNewer], [ErrCorrupt]; anything else is the file system's.
func OpenDir(path, log string) (*Dir, error) {
	if path == "" || log == "" {
		return nil, fmt.Errorf("%w: logarchive.OpenDir(%q, %q): the directory and the id of the log are required", eventsourced.ErrInvalid, path, log)
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, err
	}
	manifest, err := ReadManifest(os.DirFS(path))
	switch {
	case errors.Is(err, os.ErrNotExist):
		manifest = Manifest{Format: Format, Log: log}
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case manifest.Log != log:
		return nil, fmt.Errorf("%s: %w: of %s, and this one is %s; give each log a directory of its own", filepath.Join(path, manifestFile), ErrOtherLog, manifest.Log, log)
	}
	left, err := filepath.Glob(filepath.Join(escapeGlob(path), "*"+temporary))
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	return &Dir{path, manifest}, err
}

const temporary = ".tmp"

// escapeGlob returns a pattern of the path itself.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// Manifest returns what the directory has.
func (d *Dir) Manifest() Manifest { return d.manifest }

// Limits are where a segment ends, whichever comes first.
type Limits struct {
	Events int64
	Bytes  int64 // before compression
}

// Write writes the events, in the order of the log, to a new segment, up to the limits, and returns it; one without
// events when there are none. It is on the disk then, and not in the manifest yet: see [Dir.Keep].
func (d *Dir) Write(ctx context.Context, events iter.Seq2[eventsourced.Recorded, error], limits Limits) (s Segment, err error) {
	temp, err := os.CreateTemp(d.path, "segment-*"+temporary)
	if err != nil {
		return Segment{}, err
	}
	defer func() {
		if err != nil || s.Events == 0 {
			_, _ = temp.Close(), os.Remove(temp.Name())
		}
	}()
	w := newWriter(temp, d.manifest.Log)
	for event, err := range events {
		if err == nil {
			err = errors.Join(w.add(&event), ctx.Err())
		}
		if err != nil {
			return Segment{}, err
		}
		if w.index.Events >= limits.Events || w.raw >= limits.Bytes {
			break
		}
	}
	if s, err = w.finish(); err != nil || s.Events == 0 {
		return Segment{}, err
	}
	if err := errors.Join(temp.Chmod(0o640), temp.Sync(), temp.Close()); err != nil {
		return Segment{}, err
	}
	if err := os.Rename(temp.Name(), filepath.Join(d.path, s.File)); err != nil {
		return Segment{}, err
	}
	return s, d.sync()
}

// sync brings the directory's entries to the disk.
func (d *Dir) sync() error {
	dir, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// writer writes a segment.
type writer struct {
	to     *bufio.Writer
	hash   hash.Hash
	at     int64
	index  index
	counts map[string]int64
	raw    int64 // bytes before compression

	block    []byte           // the one that is being filled
	first    bool             // there is nothing in it
	names    []map[string]int // how many events of a block have a name
	streams  map[uint64]bool  // of the block
	records  []record
	deflater *flate.Writer
	packed   bytes.Buffer
}

func newWriter(to io.Writer, log string) *writer {
	w := &writer{hash: sha256.New(), counts: map[string]int64{}, first: true, streams: map[uint64]bool{}}
	w.to = bufio.NewWriterSize(io.MultiWriter(to, w.hash), 1<<16)
	w.deflater, _ = flate.NewWriter(&w.packed, flate.DefaultCompression) // which is a level that there is
	w.index.Log = log
	return w
}

func (w *writer) write(b []byte) error {
	n, err := w.to.Write(b)
	w.at += int64(n)
	return err
}

func (w *writer) add(e *eventsourced.Recorded) error {
	if w.index.Events == 0 {
		w.index.First = e.Position
		if err := w.write([]byte(magic)); err != nil {
			return err
		}
	}
	if e.Position <= w.index.Last {
		return fmt.Errorf("%w: the event at %d comes after the one at %d", eventsourced.ErrInvalid, e.Position, w.index.Last)
	}
	if e.Version < 0 || e.SchemaVersion < 0 || e.SchemaVersion > math.MaxInt32 {
		return fmt.Errorf("%w: the event at %d has version %d and schema version %d", eventsourced.ErrInvalid, e.Position, e.Version, e.SchemaVersion)
	}
	before := w.index.Last
	if w.first {
		before = 0
		w.index.Blocks = append(w.index.Blocks, block{At: w.at, First: e.Position})
		w.names = append(w.names, map[string]int{})
	}
	size := len(w.block)
	w.block, w.first = appendEvent(w.block, before, e), false
	w.raw += int64(len(w.block) - size)
	w.index.Last = e.Position
	w.index.Events++
	w.counts[e.Name]++
	names := w.names[len(w.names)-1]
	names[e.Name]++
	w.streams[hashOf(e.Stream)] = true
	events := 0
	for _, n := range names {
		events += n
	}
	if events >= blockEvents || len(w.block) >= blockBytes {
		return w.endBlock()
	}
	return nil
}

func (w *writer) endBlock() error {
	if w.first {
		return nil
	}
	w.packed.Reset()
	w.deflater.Reset(&w.packed)
	_, err := w.deflater.Write(w.block)
	if err = errors.Join(err, w.deflater.Close()); err != nil {
		return err
	}
	b := &w.index.Blocks[len(w.index.Blocks)-1]
	b.Size, b.Raw, b.Checksum = w.packed.Len(), len(w.block), checksum(w.packed.Bytes())
	for stream := range w.streams {
		w.records = append(w.records, record{stream, uint32(len(w.index.Blocks) - 1)})
	}
	clear(w.streams)
	w.block, w.first = w.block[:0], true
	return w.write(w.packed.Bytes())
}

// finish ends the file and returns what it is.
func (w *writer) finish() (Segment, error) {
	if err := w.endBlock(); err != nil || w.index.Events == 0 {
		return Segment{}, err
	}
	w.index.Names = slices.Sorted(maps.Keys(w.counts))
	for i := range w.index.Blocks {
		counts := make([]int, len(w.index.Names))
		for k, name := range w.index.Names {
			counts[k] = w.names[i][name]
		}
		w.index.Blocks[i].Names = counts
	}
	slices.SortFunc(w.records, compareRecords)
	w.index.Streams.At, w.index.Streams.Records = w.at, int64(len(w.records))
	if err := w.write(appendTable(nil, w.records)); err != nil {
		return Segment{}, err
	}
	data, err := json.Marshal(&w.index)
	if err != nil {
		return Segment{}, err
	}
	trailer := binary.BigEndian.AppendUint64(nil, uint64(w.at))
	for _, n := range []uint32{uint32(len(data)), checksum(data), Format} {
		trailer = binary.BigEndian.AppendUint32(trailer, n)
	}
	if err := errors.Join(w.write(data), w.write(append(trailer, magic...)), w.to.Flush()); err != nil {
		return Segment{}, err
	}
	return Segment{
		File:  fmt.Sprintf("segment-%019d-%019d.events", w.index.First, w.index.Last),
		First: w.index.First, Last: w.index.Last, Events: w.index.Events, Names: w.counts,
		Bytes: w.at, SHA256: hex.EncodeToString(w.hash.Sum(nil)),
	}, nil
}
