package logarchive

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"slices"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Format is the version of the files that this package writes. It reads those up to it.
const Format = 1

const (
	magic = "eslogseg"

	blockEvents = 512       // events in a block at most
	blockBytes  = 128 << 10 // before compression, from which on a block ends

	recordBytes = 12  // of a stream's hash and a block
	pageRecords = 256 // records with one checksum
	pageBytes   = checksumBytes + pageRecords*recordBytes

	checksumBytes = 4
	trailerBytes  = 8 + 4 + 4 + 4 + len(magic) // the index's place, size and checksum, the format, the magic
	maxIndex      = 1 << 30
	maxRatio      = 1100 // DEFLATE makes no more of a byte
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Segment is a part of a log in a file: all its events from First to Last.
type Segment struct {
	File   string                `json:"file"`
	First  eventsourced.Position `json:"first"`
	Last   eventsourced.Position `json:"last"`
	Events int64                 `json:"events"`
	Names  map[string]int64      `json:"names"` // how many events have each
	Bytes  int64                 `json:"bytes"`
	SHA256 string                `json:"sha256"` // of the file, as sha256sum prints it
}

// index is what a segment's file says of itself.
type index struct {
	Log     string                `json:"log"`
	First   eventsourced.Position `json:"first"`
	Last    eventsourced.Position `json:"last"`
	Events  int64                 `json:"events"`
	Names   []string              `json:"names"`
	Blocks  []block               `json:"blocks"`
	Streams struct {
		At      int64 `json:"at"`
		Records int64 `json:"records"`
	} `json:"streams"`
}

// block says where one is and what it has.
type block struct {
	At       int64                 `json:"at"`
	Size     int                   `json:"size"`
	Raw      int                   `json:"raw"` // decompressed
	Checksum uint32                `json:"checksum"`
	First    eventsourced.Position `json:"first"`
	Names    []int                 `json:"names"` // how many events have each of the index's names
}

func (b *block) events() (n int) {
	for _, count := range b.Names {
		n += count
	}
	return n
}

// last returns the highest position that the i-th block can have.
func (x *index) last(i int) eventsourced.Position {
	if i+1 < len(x.Blocks) {
		return x.Blocks[i+1].First - 1
	}
	return x.Last
}

// file is what is read of: a file of [fs.FS] that knows io.ReaderAt.
type file struct {
	fs.File
	io.ReaderAt
	size int64
}

func openFile(files fs.FS, name string) (*file, error) {
	opened, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	at, ok := opened.(io.ReaderAt)
	info, err := opened.Stat()
	if err == nil && !ok {
		err = fmt.Errorf("%s: %w", name, ErrNoRandomAccess)
	}
	if err != nil {
		_ = opened.Close()
		return nil, err
	}
	return &file{opened, at, info.Size()}, nil
}

// read reads so many bytes at a place.
func (f *file) read(at int64, size int) ([]byte, error) {
	if at < 0 || size < 0 || at > f.size-int64(size) {
		return nil, fmt.Errorf("%w (it ends at byte %d)", ErrCorrupt, f.size)
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, at)
	switch {
	case n == size:
		return b, nil
	case errors.Is(err, io.EOF): // it was cut off since it was opened
		return nil, fmt.Errorf("%w (it ends at byte %d)", ErrCorrupt, at+int64(n))
	}
	return nil, err
}

// readIndex reads and checks the index.
func (f *file) readIndex() (*index, error) {
	trailer, err := f.read(f.size-int64(trailerBytes), trailerBytes)
	if err != nil {
		return nil, err
	}
	at, size, sum := int64(binary.BigEndian.Uint64(trailer)), binary.BigEndian.Uint32(trailer[8:]), binary.BigEndian.Uint32(trailer[12:])
	format := binary.BigEndian.Uint32(trailer[16:])
	if string(trailer[20:]) != magic {
		return nil, fmt.Errorf("%w (its end is not that of a segment)", ErrCorrupt)
	}
	if format > Format {
		return nil, fmt.Errorf("%w (it has format %d, this one reads up to %d)", ErrNewer, format, Format)
	}
	if size > maxIndex {
		return nil, fmt.Errorf("%w (its index can't have %d bytes)", ErrCorrupt, size)
	}
	data, err := f.read(at, int(size))
	if err != nil {
		return nil, err
	}
	if checksum(data) != sum {
		return nil, fmt.Errorf("%w (the checksum of its index is wrong)", ErrCorrupt)
	}
	return decodeIndex(data, at)
}

// decodeIndex reads an index that lies at a place in its file, behind all it speaks of.
func decodeIndex(data []byte, at int64) (*index, error) {
	x := &index{}
	if err := json.Unmarshal(data, x); err != nil {
		return nil, fmt.Errorf("%w (its index: %w)", ErrCorrupt, err)
	}
	wrong := func(what string) error { return fmt.Errorf("%w (its index: %s)", ErrCorrupt, what) }
	if len(x.Blocks) == 0 || x.First < 1 || x.Last < x.First || x.Blocks[0].First != x.First {
		return nil, wrong("no events")
	}
	var events, end int64 = 0, int64(len(magic))
	var before eventsourced.Position
	for _, b := range x.Blocks {
		if b.At != end || b.Size < 1 || int64(b.Size) > at || b.Raw < 1 || b.Raw/maxRatio > b.Size || len(b.Names) != len(x.Names) || b.First <= before || b.First > x.Last {
			return nil, wrong("its blocks")
		}
		for _, n := range b.Names {
			if n < 0 || n > b.Raw {
				return nil, wrong("the events of a block")
			}
			events += int64(n)
		}
		end, before = end+int64(b.Size), b.First
	}
	if events != x.Events || !slices.IsSorted(x.Names) {
		return nil, wrong("the number of its events")
	}
	if x.Streams.Records < 1 || x.Streams.Records > math.MaxInt64/pageBytes || x.Streams.At != end || end+tableBytes(x.Streams.Records) != at {
		return nil, wrong("its streams")
	}
	return x, nil
}

// readBlock reads the events of the i-th block.
func (f *file) readBlock(x *index, i int) ([]eventsourced.Recorded, error) {
	b := &x.Blocks[i]
	packed, err := f.read(b.At, b.Size)
	if err != nil {
		return nil, err
	}
	if checksum(packed) != b.Checksum {
		return nil, fmt.Errorf("%w (the checksum of its block %d is wrong)", ErrCorrupt, i)
	}
	var raw bytes.Buffer
	raw.Grow(b.Raw + bytes.MinRead)
	if _, err := raw.ReadFrom(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), int64(b.Raw)+1)); err != nil || raw.Len() != b.Raw {
		return nil, fmt.Errorf("%w (its block %d can't be decompressed)", ErrCorrupt, i)
	}
	events, err := decodeBlock(raw.Bytes(), b.First, b.events())
	if err == nil && events[len(events)-1].Position > x.last(i) {
		err = errors.New("a block has events of the next one")
	}
	if err != nil {
		return nil, fmt.Errorf("%w (block %d: %w)", ErrCorrupt, i, err)
	}
	return events, nil
}
