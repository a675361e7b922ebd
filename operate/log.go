package operate

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/operate/terminal"
	"github.com/dancefinder/eventsourcing/readview"
)

// named returns open with a command's context naming who runs it, unless it does.
func named(open Open) Open {
	return func(cmd *cobra.Command, do func(System) error) error {
		if eventsourced.ContextActor(cmd.Context()) == "" {
			cmd.SetContext(eventsourced.WithActor(cmd.Context(), actor()))
		}
		return open(cmd, do)
	}
}

// actor is the operating system's user and host.
func actor() string {
	name := os.Getenv("SUDO_USER")
	if current, err := user.Current(); err == nil && name == "" {
		name = current.Username
	}
	host, _ := os.Hostname()
	return cmp.Or(name, fmt.Sprint("uid ", os.Getuid())) + "@" + cmp.Or(host, "unknown")
}

type operationJSON struct {
	ID         int64             `json:"id"`
	Projection string            `json:"projection"`
	Command    string            `json:"command"`
	Actor      string            `json:"actor"`
	Arguments  map[string]string `json:"arguments"`
	Outcome    string            `json:"outcome"`
	Detail     string            `json:"detail,omitempty"`
	Began      time.Time         `json:"began"`
	Ended      *time.Time        `json:"ended"` // null while it is under way
}

func (c *Commands) log() *cobra.Command {
	var query readview.OperationsQuery
	var asJSON bool
	command := &cobra.Command{
		Use:   "log [NAME...]",
		Short: "Show what was done to projections, by whom, and what came of it",
		Long: "Shows what was done to projections, by whom, and what came of it: every command that changes something is on\n" +
			"record in the transaction that changes it, whichever program did it. The last ones, in the order of time.",
		Example: c.examples("readviews log", "readviews log accounts --limit 10", "readviews log --json"),
		Args: func(cmd *cobra.Command, names []string) error {
			if query.Limit < 0 || query.Before < 0 {
				return UsageError{fmt.Errorf("--limit and --before are not below 0")}
			}
			return nil // also of projections that are no more
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			query.Names = names
			return c.open(cmd, func(s System) error {
				operations, err := s.Manager.Operations(cmd.Context(), query)
				if err != nil {
					return err
				}
				if asJSON {
					rows := make([]operationJSON, len(operations))
					for i, op := range operations {
						rows[i] = operationJSON{op.ID, op.Name, op.Command, op.Actor, op.Arguments, string(op.Outcome), op.Detail, op.Began, nil}
						if !op.Ended.IsZero() {
							rows[i].Ended = &op.Ended
						}
					}
					return terminal.JSON(cmd.OutOrStdout(), rows)
				}
				return terminal.Table(cmd.OutOrStdout(), "TIME\tID\tPROJECTION\tCOMMAND\tACTOR\tARGUMENTS\tOUTCOME", operations, operationLine)
			})
		},
	}
	command.Flags().IntVar(&query.Limit, "limit", readview.DefaultOperations, "how many, the last ones")
	command.Flags().Int64Var(&query.Before, "before", 0, "only those with a lower ID (default: all)")
	command.Flags().BoolVar(&asJSON, "json", false, "print an array of objects for programs")
	return command
}

func operationLine(op consumer.Operation) string {
	var arguments []string
	for _, key := range slices.Sorted(maps.Keys(op.Arguments)) {
		arguments = append(arguments, fmt.Sprintf("%s=%q", key, op.Arguments[key]))
	}
	outcome := string(op.Outcome)
	if op.Detail != "" {
		outcome += ": " + strings.ReplaceAll(op.Detail, "\n", "; ")
	}
	return fmt.Sprintf("%s\t%d\t%s\t%s\t%s\t%s\t%s", op.Began.UTC().Format(time.RFC3339), op.ID, op.Name, op.Command, op.Actor,
		cmp.Or(strings.Join(arguments, " "), "-"), outcome)
}
