package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/dancefinder/importer"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
	"github.com/dancefinder/eventsourcing/operate"
	"github.com/dancefinder/eventsourcing/operate/terminal"
)

func importCommand() *cobra.Command {
	i := &importRun{}
	command := &cobra.Command{
		Use:   "import FILE...",
		Short: "Import listings of dances, CSV or HTML",
		Long: "Imports listings with the columns Datum, Tid, Dansband, Dansställe, Ort, Kommun, Län, Övrigt, as CSV or\n" +
			"as an HTML table; \"-\" reads standard input. Importing a listing again changes nothing.\n\n" +
			"A listing has all dances of its months: one that an earlier listing had and this one lacks is deleted,\n" +
			"unless a row of this one can't be read, the file is cut off, or --partial is given. What a person entered stays.\n\n" +
			"It prints a report of each file: its rows; the dances created, changed, unchanged and withdrawn (or cancelled);\n" +
			"rows skipped, as they are no dance to import; rows refused, with line and reason; the bands and halls created.\n" +
			"The exit code is 1 when a row was refused or a file could not be read to its end; all other rows are imported.\n\n" +
			"An import that is stopped has imported some dances, each one as a whole, and deleted none that it had not come to;\n" +
			"running it again does the rest. A second import waits for the first.",
		Example: "  dancefinder import july.csv august.html\n  curl -s https://example.org/dans.html | dancefinder import --json -",
		Args: func(_ *cobra.Command, files []string) error {
			if len(files) == 0 {
				return operate.UsageError{Err: errors.New("name at least one file, or - for standard input")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, files []string) error {
			if cmd.Flags().Changed("year") && (i.year < listing.FirstYear || i.year > listing.LastYear) {
				return operate.UsageError{Err: fmt.Errorf("--year %d: want %d to %d", i.year, listing.FirstYear, listing.LastYear)}
			}
			for _, file := range files {
				if err := checkListing(file); err != nil {
					return err
				}
			}
			return withApp(cmd, func(a *app) error {
				i.app, i.out, i.errOut = a, cmd.OutOrStdout(), cmd.ErrOrStderr()
				i.in = terminal.Interruptible(cmd.Context(), cmd.InOrStdin())
				return i.all(cmd.Context(), files)
			})
		},
	}
	command.Flags().BoolVar(&i.partial, "partial", false, "the listings have some dances only: delete none that they lack")
	command.Flags().BoolVar(&i.json, "json", false, "print the report as one JSON document")
	command.Flags().IntVar(&i.year, "year", 0, "the year of dates without one, when a listing has no month headers")
	return command
}

// stdinName is the name of standard input.
const stdinName = "-"

// checkListing refuses a file that can't be a listing, before anything is done.
func checkListing(name string) error {
	if name == stdinName {
		return nil
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a folder, not a listing", name)
	case !info.Mode().IsRegular(): // what is read from it is gone, and to open it may take for ever
		return nil
	case info.Size() == 0:
		return fmt.Errorf("%s is empty", name)
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	head := make([]byte, 512)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: %w", name, err)
	}
	kind := http.DetectContentType(head[:n])
	if !strings.HasPrefix(kind, "text/") && (kind != "application/octet-stream" || binary(head[:n])) {
		return fmt.Errorf("%s is no listing but %s: save it as CSV or HTML", name, kind)
	}
	return nil
}

// binary tells whether it is certainly no text: a few control characters are those of a
// row, which is refused by itself, and UTF-16 has its zeros in every second byte.
func binary(head []byte) bool {
	controls, zeros := 0, [2]int{}
	for i, c := range head {
		if c < ' ' && !strings.ContainsRune("\t\n\r", rune(c)) {
			controls++
		}
		if c == 0 {
			zeros[i%2]++
		}
	}
	return controls > len(head)/10 && (zeros == [2]int{} || min(zeros[0], zeros[1]) > 0)
}

// importRun is an import of files.
type importRun struct {
	partial, json bool
	year          int

	app         *app
	in          io.Reader
	out, errOut io.Writer
}

// all imports files one after the other, and reports what became of them.
func (i *importRun) all(ctx context.Context, files []string) error {
	if err := i.app.checkMigrated(ctx); err != nil {
		return err
	}
	if err := i.app.checkAdopted(ctx); err != nil {
		return err
	}
	unlock, err := importer.Lock(ctx, i.app.pool, what(files), func(h importer.Holder) {
		_, _ = fmt.Fprintf(i.errOut, "import: waiting for the import of %s to end, which began at %s (server process %d)\n",
			h.What, h.Since.Local().Format(time.TimeOnly), h.PID)
	})
	if err != nil {
		return err
	}
	defer unlock()

	var reports []*report
	var failed []error
	for _, file := range files {
		r, err := i.one(ctx, file)
		reports = append(reports, r)
		if err != nil {
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if err := writeReports(i.out, reports, i.json); err != nil {
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// what names an import to others.
func what(files []string) string {
	name := filepath.Base(files[0])
	if files[0] == stdinName {
		name = "standard input"
	}
	if len(files) > 1 {
		name = fmt.Sprintf("%.30s and %d more", name, len(files)-1)
	}
	return name
}

func (i *importRun) one(ctx context.Context, name string) (*report, error) {
	r := &report{File: name, Refused: []refusal{}}
	file, size, err := i.open(ctx, name)
	if err != nil {
		r.Error = err.Error()
		return r, err
	}
	defer func() { _ = file.Close() }()
	bar := terminal.NewProgress(i.errOut, "import", "bytes", size)
	rows := listing.Read(io.TeeReader(file, bar), listing.Options{Year: i.year})
	result, err := importer.Import(ctx, i.app.service, i.app.store, rows, importer.Options{Partial: i.partial, Problem: r.refuse})
	bar.Done()
	r.fill(result)
	switch {
	case err != nil:
		r.Error = err.Error()
		err = fmt.Errorf("%s: %w", name, err)
	case result.Problems > 0:
		err = fmt.Errorf("%s: %d of %d rows were not imported; correct them and import again", name, result.Problems, result.Rows)
	}
	return r, err
}

// open returns a file and its size, -1 when that is not known.
func (i *importRun) open(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	if name == stdinName {
		return io.NopCloser(i.in), -1, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() { // a pipe: to open and to read it may take for ever
		return io.NopCloser(terminal.Interruptible(ctx, &opening{name: name})), -1, nil
	}
	file, err := os.Open(name)
	return file, info.Size(), err
}

// opening is a file that is opened when it is read first, and closed at its end or with the
// process.
type opening struct {
	name string
	file *os.File
}

func (o *opening) Read(b []byte) (n int, err error) {
	if o.file == nil {
		if o.file, err = os.Open(o.name); err != nil {
			return 0, err
		}
	}
	n, err = o.file.Read(b)
	if err != nil {
		_ = o.file.Close()
	}
	return n, err
}
