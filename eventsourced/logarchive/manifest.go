package logarchive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

const manifestFile = "manifest.json"

// Manifest says what an archive has. It is manifest.json in its directory.
type Manifest struct {
	Format   int       `json:"format"`
	Log      string    `json:"log"`      // its id
	Segments []Segment `json:"segments"` // in order; none overlaps another
}

// ReadManifest reads and checks it. Errors: [ErrCorrupt], [ErrNewer]; anything else is the file system's,
// fs.ErrNotExist where there is none.
func ReadManifest(files fs.FS) (Manifest, error) {
	data, err := fs.ReadFile(files, manifestFile)
	if err != nil {
		return Manifest{}, err
	}
	m, err := decodeManifest(data)
	if err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", manifestFile, err)
	}
	return m, nil
}

func decodeManifest(data []byte) (Manifest, error) {
	var format struct{ Format int }
	if err := json.Unmarshal(data, &format); err != nil {
		return Manifest{}, fmt.Errorf("%w (%w)", ErrCorrupt, err)
	}
	if format.Format > Format {
		return Manifest{}, fmt.Errorf("%w (it has format %d, this one reads up to %d)", ErrNewer, format.Format, Format)
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return Manifest{}, fmt.Errorf("%w (%w)", ErrCorrupt, err)
	}
	if m.Format < 1 || m.Log == "" {
		return Manifest{}, fmt.Errorf("%w (it has no format or no log)", ErrCorrupt)
	}
	var before eventsourced.Position
	for _, s := range m.Segments {
		if s.First <= before || s.Last < s.First || s.Events < 1 || !fs.ValidPath(s.File) {
			return Manifest{}, fmt.Errorf("%w (its segment %q does not fit)", ErrCorrupt, s.File)
		}
		before = s.Last
	}
	return m, nil
}

// Keep makes the manifest name these segments and no others. No file is removed.
func (d *Dir) Keep(segments []Segment) error {
	m := d.manifest
	m.Format, m.Segments = Format, slices.Clone(segments)
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if _, err := decodeManifest(data); err != nil {
		return err
	}
	temp, err := os.CreateTemp(d.path, manifestFile+"-*"+temporary)
	if err != nil {
		return err
	}
	_, err = temp.Write(append(data, '\n'))
	if err = errors.Join(err, temp.Chmod(0o640), temp.Sync(), temp.Close()); err == nil {
		err = os.Rename(temp.Name(), filepath.Join(d.path, manifestFile))
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		return err
	}
	d.manifest = m
	return d.sync()
}

// Check reads a whole segment and proves that it is as it was written: its size and hash, and all that it says of itself.
// Errors: those of [Reader.Read].
func Check(ctx context.Context, files fs.FS, log string, s Segment) error {
	f, err := openFile(files, s.File)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(f, 0, f.size)); err != nil {
		return fmt.Errorf("%s: %w", s.File, err)
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); f.size != s.Bytes || sum != s.SHA256 {
		return fmt.Errorf("%s: %w (it has %d bytes and the SHA-256 %s, not %d and %s)", s.File, ErrCorrupt, f.size, sum, s.Bytes, s.SHA256)
	}
	names := map[string]int64{}
	for event, err := range NewReader(files).Read(ctx, log, []Segment{s}, eventsourced.LogQuery{}) {
		if err != nil {
			return err
		}
		names[event.Name]++
	}
	if !maps.Equal(names, s.Names) {
		return fmt.Errorf("%s: %w (its events have other names)", s.File, ErrCorrupt)
	}
	return nil
}
