package operate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/operate/terminal"
	"github.com/dancefinder/eventsourcing/readview"
)

func (c *Commands) explain() *cobra.Command {
	var options readview.ExplainOptions
	var asJSON bool
	command := &cobra.Command{
		Use:   "explain NAME --where CONDITION",
		Short: "Show which events have made a row, and what each has changed",
		Long: "Replays the projection's events into tables beside the live ones, up to where it is, and shows the events that\n" +
			"have made the rows that the condition is true of, or was once: in order, with what each has changed, deletions\n" +
			"and changes of the key included. The live tables are not touched, and the projection goes on.",
		Example: c.examples(`readviews explain accounts --where "id = 'anna'"`, `readviews explain accounts --table account --where "amount > 100" --limit 10 --json`),
		Args:    c.projectionNamed,
		RunE: func(cmd *cobra.Command, names []string) error {
			if strings.TrimSpace(options.Where) == "" {
				return UsageError{errors.New("--where: say which rows, such as --where \"id = 7\"")}
			}
			if options.Limit <= 0 {
				return UsageError{errors.New("--limit: want at least 1")}
			}
			return c.open(cmd, func(s System) error {
				var bar *terminal.Progress
				if terminal.Is(cmd.ErrOrStderr()) {
					options.Progress = func(p readview.RebuildProgress) {
						if bar == nil && p.Total > 0 {
							bar = terminal.NewProgress(cmd.ErrOrStderr(), "replaying", "events", p.Total)
						}
						if bar != nil {
							bar.Set(p.Events)
						}
					}
				}
				found, err := s.Manager.Explain(cmd.Context(), names[0], options)
				if bar != nil {
					bar.Done()
				}
				if err != nil {
					return err
				}
				if asJSON {
					return terminal.JSON(cmd.OutOrStdout(), explainedOf(found))
				}
				return writeExplained(cmd.OutOrStdout(), found)
			})
		},
	}
	command.Flags().StringVar(&options.Where, "where", "", "which rows, as after WHERE in SQL (required)")
	command.Flags().StringVar(&options.Table, "table", "", "of the projection's tables (default: the one that has these columns)")
	command.Flags().IntVar(&options.Limit, "limit", readview.DefaultSteps, "how many changes, the last ones")
	command.Flags().BoolVar(&asJSON, "json", false, "print an object for programs")
	return command
}

type explainedJSON struct {
	readview.Explained
	Steps []stepJSON `json:"steps"`
}

type stepJSON struct {
	readview.Step
	Event *causeJSON `json:"event"` // null when the log does not have it any more
}

type causeJSON struct {
	ID       string                `json:"id"`
	Event    string                `json:"event"`
	Stream   string                `json:"stream"`
	Version  int64                 `json:"version"`
	Time     time.Time             `json:"time"`
	Metadata eventsourced.Metadata `json:"metadata,omitempty"` // causation, correlation, actor
}

func explainedOf(found readview.Explained) explainedJSON {
	all := explainedJSON{Explained: found, Steps: []stepJSON{}}
	if all.Live == nil {
		all.Live = []json.RawMessage{}
	}
	for _, step := range found.Steps {
		row := stepJSON{Step: step}
		if e := step.Event; e != nil {
			row.Event = &causeJSON{e.ID.String(), e.Name, e.Stream.String(), int64(e.Version), e.Time, e.Metadata}
		}
		all.Steps = append(all.Steps, row)
	}
	return all
}

func writeExplained(w io.Writer, found readview.Explained) error {
	var b bytes.Buffer
	if found.MoreSteps {
		fmt.Fprintf(&b, "the last %s: --limit shows earlier ones\n", many(len(found.Steps), "change"))
	}
	for _, step := range found.Steps {
		fmt.Fprintf(&b, "position %d", step.Position)
		if e := step.Event; e != nil {
			fmt.Fprintf(&b, "  %s  %s of %s, version %d, id %s", e.Time.UTC().Format(time.RFC3339), e.Name, e.Stream, e.Version, e.ID)
			for _, key := range slices.Sorted(maps.Keys(e.Metadata)) {
				fmt.Fprintf(&b, ", %s %s", strings.TrimSuffix(key, "_id"), e.Metadata[key])
			}
		}
		fmt.Fprintf(&b, "\n  %s %s %s\n", step.Op, found.Table, step.Key)
		for _, column := range slices.Sorted(maps.Keys(step.Columns)) {
			values := step.Columns[column]
			switch {
			case values[0] == nil:
				fmt.Fprintf(&b, "    %s: %s\n", column, values[1])
			case values[1] == nil:
				fmt.Fprintf(&b, "    %s: %s, gone\n", column, values[0])
			default:
				fmt.Fprintf(&b, "    %s: %s, before %s\n", column, values[1], values[0])
			}
		}
	}
	if len(found.Steps) == 0 {
		fmt.Fprintf(&b, "no event up to position %d has made such a row of %s\n", found.Position, found.Table)
	}
	for _, row := range found.Live {
		fmt.Fprintf(&b, "now: %s\n", row)
	}
	if found.MoreLive {
		fmt.Fprintln(&b, "now: and more rows")
	}
	if len(found.Live) == 0 {
		fmt.Fprintln(&b, "now: no such row")
	}
	_, err := w.Write(b.Bytes())
	return err
}
