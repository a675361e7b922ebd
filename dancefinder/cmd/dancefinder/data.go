package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/dancefinder/generator"
	"github.com/dancefinder/eventsourcing/dancefinder/importer"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

func importCommand() *cobra.Command {
	var partial bool
	var year int
	command := &cobra.Command{
		Use:   "import FILE",
		Short: "Import a listing of dances, CSV or HTML",
		Long: "Imports a listing with the columns Datum, Tid, Dansband, Dansställe, Ort, Kommun, Län, Övrigt,\n" +
			"as CSV or as an HTML table; \"-\" reads standard input. Importing a listing again changes nothing.\n\n" +
			"A listing has all dances of its months: one that an earlier listing had and this one lacks is deleted,\n" +
			"unless a row of this one can't be read, a page of HTML is cut off, or --partial is given.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, size, err := openListing(cmd, args[0])
			if err != nil {
				return err
			}
			defer func() { _ = file.Close() }()
			return withApp(cmd, func(a *app) error {
				if err := a.checkMigrated(cmd.Context()); err != nil {
					return err
				}
				if err := a.checkAdopted(cmd.Context()); err != nil {
					return err
				}
				bar := newProgress(cmd.ErrOrStderr(), "import", "bytes", size)
				rows := listing.Read(io.TeeReader(file, bar), listing.Options{Year: year})
				result, err := importer.Import(cmd.Context(), a.service, a.store, rows, importer.Options{
					Partial: partial,
					Problem: func(err error) {
						bar.interrupt()
						_, _ = fmt.Fprintln(cmd.ErrOrStderr(), args[0]+":", err)
					},
				})
				bar.done()
				writeResult(cmd.OutOrStdout(), result)
				if err == nil && result.Problems > 0 {
					err = fmt.Errorf("%d of %d rows were not imported; correct them and import again", result.Problems, result.Rows)
				}
				return err
			})
		},
	}
	command.Flags().BoolVar(&partial, "partial", false, "the listing has some dances only: delete none that it lacks")
	command.Flags().IntVar(&year, "year", 0, "the year of dates without one, when the listing has no month headers")
	return command
}

// openListing returns the file and its size, -1 when that is not known.
func openListing(cmd *cobra.Command, name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(cmd.InOrStdin()), -1, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	size := int64(-1)
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return file, size, nil
}

func writeResult(w io.Writer, r importer.Result) {
	_, _ = fmt.Fprintf(w, "%d rows: %d bands, %d halls and %d dances created, %d updated, %d deleted, %d unchanged, %d skipped, %d with problems\n",
		r.Rows, r.Bands, r.Halls, r.Created, r.Updated, r.Deleted, r.Unchanged, r.Skipped, r.Problems)
}

func generateCommand() *cobra.Command {
	var config generator.Config
	var edition int
	var start string
	command := &cobra.Command{
		Use:   "generate",
		Short: "Write a made-up listing of dances to standard output, as CSV",
		Long: "Writes a made-up listing of dances, the same one for the same flags. Its second edition has the changes\n" +
			"that happened since the first: dances that moved, were cancelled, withdrawn, or announced late.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			editions := generator.Editions(config)
			if edition < 1 || edition > len(editions) {
				return usageError{fmt.Errorf("--edition %d: want 1 to %d", edition, len(editions))}
			}
			if config.Years < 1 || config.Years > maxYears {
				return usageError{fmt.Errorf("--years %d: want 1 to %d", config.Years, maxYears)}
			}
			var err error
			if config.Start, err = time.Parse(time.DateOnly, start); err != nil {
				return usageError{fmt.Errorf("--start %q: want a date such as 2026-01-01", start)}
			}
			w := listing.NewWriter(cmd.OutOrStdout())
			for row := range generator.Editions(config)[edition-1].Rows {
				if err := w.Write(row); err != nil {
					return err
				}
			}
			return w.Flush()
		},
	}
	addGeneratorFlags(command, &config)
	command.Flags().IntVar(&edition, "edition", 1, "1, or 2 for the listing after its changes")
	command.Flags().StringVar(&start, "start", "2026-01-01", "the first day")
	return command
}

// maxYears keeps dates within the domain's.
const maxYears = 100

func addGeneratorFlags(command *cobra.Command, config *generator.Config) {
	command.Flags().IntVar(&config.Years, "years", 1, "how many years of dances, about 20,000 each")
	command.Flags().Uint64Var(&config.Seed, "seed", 1, "which of the possible listings")
}
