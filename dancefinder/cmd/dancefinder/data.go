package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/dancefinder/generator"
	"github.com/dancefinder/eventsourcing/dancefinder/importer"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
	"github.com/dancefinder/eventsourcing/operate"
)

// writeResult writes what an import of the demo did, in a line.
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
		Example: "  dancefinder generate --days 60 > july.csv\n  dancefinder generate --edition 2 | dancefinder import -",
		RunE: func(cmd *cobra.Command, _ []string) error {
			editions := generator.Editions(config)
			if edition < 1 || edition > len(editions) {
				return operate.UsageError{Err: fmt.Errorf("--edition %d: want 1 to %d", edition, len(editions))}
			}
			if err := checkLength(config); err != nil {
				return err
			}
			var err error
			if config.Start, err = time.Parse(time.DateOnly, start); err != nil {
				return operate.UsageError{Err: fmt.Errorf("--start %q: want a date such as 2026-01-01", start)}
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

func checkLength(config generator.Config) error {
	if config.Years < 1 || config.Years > maxYears {
		return operate.UsageError{Err: fmt.Errorf("--years %d: want 1 to %d", config.Years, maxYears)}
	}
	if config.Days < 0 || config.Days > maxYears*365 {
		return operate.UsageError{Err: fmt.Errorf("--days %d: want 0 to %d", config.Days, maxYears*365)}
	}
	return nil
}

func addGeneratorFlags(command *cobra.Command, config *generator.Config) {
	command.Flags().IntVar(&config.Days, "days", 0, "how many days of dances instead of years")
	command.Flags().IntVar(&config.Years, "years", 1, "how many years of dances, about 20,000 each")
	command.Flags().Uint64Var(&config.Seed, "seed", 1, "which of the possible listings")
}
