package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/operate/terminal"
)

// Archiver is a log whose old end can be moved to files: that of package pgstore.
type Archiver interface {
	Archive(ctx context.Context, options pgstore.ArchiveOptions) (pgstore.ArchiveReport, error)
	Partitions(ctx context.Context) ([]pgstore.Partition, error)
}

// Log returns the command log, which looks after the log itself: what of it is in the database, and what in files.
func (c *Commands) Log() *cobra.Command {
	return group("log", "Look after the log of events: its size, and the archive of its old end", c.archive(), c.partitions())
}

// withArchiver opens the system, whose log must be an [Archiver].
func (c *Commands) withArchiver(cmd *cobra.Command, do func(System, Archiver) error) error {
	return c.open(cmd, func(s System) error {
		log, ok := s.Log.(Archiver)
		if !ok {
			return fmt.Errorf("the log of this program can't be archived: it is no pgstore.Store but a %T", s.Log)
		}
		return do(s, log)
	})
}

func (c *Commands) archive() *cobra.Command {
	var before, to string
	var dryRun, yes, asJSON bool
	var options pgstore.ArchiveOptions
	command := &cobra.Command{
		Use:   "archive --before DATE --to DIR",
		Short: "Move events that were appended before a date from the database to files",
		Long: "Moves events that were appended before a date to files in a directory, which all processes must read from then on; how they are told is\n" +
			"what this program reads the archive by as well. Of each aggregate the first and the last event stay in the database, too.\n" +
			"It goes on beside everything else, and can be interrupted or killed at any time: the same command goes on. An append that is\n" +
			"repeated after its event was archived is not recognised any more, so the date must be a day ago at least.\n" +
			"DATE is a day such as 2026-01-31, which begins in this machine's time zone, or a time such as 2026-01-31T12:00:00Z.",
		Example: c.examples("log archive --before 2026-01-01 --to /var/lib/archive --dry-run", "log archive --before 2026-01-01 --to /var/lib/archive --yes"),
		Args: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) > 0 {
				return noArguments(cmd, args)
			}
			if to == "" && !dryRun {
				return UsageError{errors.New("--to: want the directory of the archive")}
			}
			options.Before, err = dateOf(before)
			return err
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			options.Dir, options.DryRun = to, dryRun
			return c.withArchiver(cmd, func(s System, log Archiver) error {
				return c.runArchive(cmd, s, log, options, yes, asJSON)
			})
		},
	}
	flags := command.Flags()
	flags.StringVar(&before, "before", "", "archive what was appended before this date (required)")
	flags.StringVar(&to, "to", "", "the directory of the archive (required)")
	flags.IntVar(&options.SegmentEvents, "segment-events", pgstore.DefaultSegmentEvents, "events in a file at most")
	flags.BoolVar(&dryRun, "dry-run", false, "only tell what would be moved")
	flags.BoolVar(&yes, "yes", false, "don't ask, also in a terminal")
	flags.BoolVar(&asJSON, "json", false, "print an object for programs")
	return command
}

// dateOf reads a day, or a time.
func dateOf(text string) (time.Time, error) {
	if t, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, UsageError{fmt.Errorf("--before %q: want a date such as 2026-01-31, or a time such as 2026-01-31T12:00:00Z", text)}
	}
	return t, nil
}

type archiveJSON struct {
	DryRun  bool     `json:"dry_run"`
	Events  int64    `json:"events"`
	Removed int64    `json:"removed"`
	Kept    int64    `json:"kept"`
	Bytes   int64    `json:"bytes"`
	To      int64    `json:"to_position"`
	Files   []string `json:"files"`
}

func (c *Commands) runArchive(cmd *cobra.Command, s System, log Archiver, options pgstore.ArchiveOptions, yes, asJSON bool) error {
	ctx := cmd.Context()
	plan := options
	plan.DryRun = true
	planned, err := log.Archive(ctx, plan)
	if err != nil {
		return err
	}
	in, out := cmd.InOrStdin(), cmd.ErrOrStderr()
	if options.DryRun || planned.Events == 0 {
		return tellArchived(cmd, planned, true, asJSON)
	}
	if !yes && terminal.Is(in) {
		question := fmt.Sprintf("Move %d events to %s, and delete %d of them from the database?", planned.Events, options.Dir, planned.Removed)
		if err := terminal.Ask(ctx, in, out, question); err != nil {
			return err
		}
	}
	progress := terminal.NewProgress(out, "archive", "events", planned.Events)
	options.Progress = func(p pgstore.ArchiveProgress) { progress.Set(p.Events) }
	var report pgstore.ArchiveReport
	err = s.Manager.RecordWhile(ctx, "", "archive", map[string]string{"before": options.Before.UTC().Format(time.RFC3339), "to": options.Dir}, func(ctx context.Context) (string, error) {
		report, err = log.Archive(ctx, options)
		return fmt.Sprintf("%d events archived up to position %d, %d deleted from the database", report.Events, report.To, report.Removed), err
	})
	progress.Done()
	if err == nil || report.Events > 0 {
		err = cmp.Or(err, tellArchived(cmd, report, false, asJSON))
	}
	if err == nil {
		return nil
	}
	const whole = "The log is whole: what was archived is in its files for good, and the rest is where it was. The same command goes on."
	if context.Cause(ctx) != nil { // of which nothing else is said
		_, _ = fmt.Fprintln(out, whole)
		return err
	}
	return HintedError{Err: err, Hint: whole}
}

func tellArchived(cmd *cobra.Command, r pgstore.ArchiveReport, dryRun, asJSON bool) error {
	if asJSON {
		row := archiveJSON{DryRun: dryRun, Events: r.Events, Removed: r.Removed, Kept: r.Kept, Bytes: r.Bytes, To: int64(r.To), Files: []string{}}
		for _, segment := range r.Segments {
			row.Files = append(row.Files, segment.File)
		}
		return terminal.JSON(cmd.OutOrStdout(), row)
	}
	text := fmt.Sprintf("%d events archived in %d files of %.1f MiB, up to position %d: %d deleted from the database, %d also stay there\n",
		r.Events, len(r.Segments), float64(r.Bytes)/(1<<20), r.To, r.Removed, r.Kept)
	switch {
	case r.Events == 0:
		text = "nothing to archive\n"
	case dryRun:
		text = fmt.Sprintf("%d events would be archived, up to position %d: %d deleted from the database, %d would also stay there\n", r.Events, r.To, r.Removed, r.Kept)
	}
	_, err := fmt.Fprint(cmd.OutOrStdout(), text)
	return err
}

type partitionJSON struct {
	From     int64      `json:"from_position"`
	To       int64      `json:"to_position"`
	Events   int64      `json:"events"` // of the table about, -1 if it was never analyzed
	Bytes    int64      `json:"bytes"`
	File     string     `json:"file,omitempty"` // none for the table
	SHA256   string     `json:"sha256,omitempty"`
	Archived *time.Time `json:"archived,omitempty"`
}

func (c *Commands) partitions() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "partitions",
		Short: "Show which parts of the log are in which files, and what the database has",
		Long: "Shows the parts of the log in its order: the files of the archive, and last the table of the database. How many events the table has\n" +
			"is an estimate of PostgreSQL's.",
		Example: c.examples("log partitions", "log partitions --json"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withArchiver(cmd, func(_ System, log Archiver) error {
				all, err := log.Partitions(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					rows := make([]partitionJSON, len(all))
					for i, p := range all {
						rows[i] = partitionJSON{int64(p.From), int64(p.To), p.Events, p.Bytes, p.File, p.SHA256, nil}
						if p.File != "" {
							rows[i].Archived = &p.Archived
						}
					}
					return terminal.JSON(cmd.OutOrStdout(), rows)
				}
				return terminal.Table(cmd.OutOrStdout(), "FROM\tTO\tAPPENDED\tEVENTS\tMIB\tWHERE", all, partitionLine)
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print an array of objects for programs")
	return command
}

func partitionLine(p pgstore.Partition) string {
	events, where, appended := fmt.Sprint(p.Events), p.File, "-"
	if p.File == "" {
		if where = "the database"; p.Events < 0 {
			events = "not known"
		} else {
			events = "about " + events
		}
	}
	if p.To > 0 {
		appended = p.From.Time().Format(time.RFC3339) + " to " + p.To.Time().Format(time.RFC3339)
	}
	return fmt.Sprintf("%d\t%d\t%s\t%s\t%.1f\t%s", p.From, p.To, appended, events, float64(p.Bytes)/(1<<20), where)
}
