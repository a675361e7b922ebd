package operate

import (
	"cmp"
	"context"
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

// prepared returns open with a command's context naming who runs it, unless it does, and with what it prints made fit for a terminal: errors,
// reasons and keys are what others have written.
func prepared(open Open) Open {
	return func(cmd *cobra.Command, do func(System) error) error {
		cmd.SetOut(terminal.Printable(cmd.OutOrStdout()))
		cmd.SetErr(terminal.Printable(cmd.ErrOrStderr()))
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

// operations returns what was done to projections, and to relays, reactors and consumer groups.
func (s System) operations(ctx context.Context, query readview.OperationsQuery) ([]consumer.Operation, error) {
	all, err := s.Manager.Operations(ctx, query)
	if err != nil || s.Consumers == nil {
		return all, err
	}
	others, err := s.Consumers.Operations(ctx, maxOthers)
	if err != nil {
		return nil, err
	}
	for _, op := range others {
		if len(query.Names) == 0 || slices.Contains(query.Names, op.Name) {
			all = append(all, op)
		}
	}
	slices.SortStableFunc(all, func(a, b consumer.Operation) int { return a.Began.Compare(b.Began) })
	return all[max(0, len(all)-query.Limit):], nil
}

// logged refuses names that are neither in the operator log nor in the status. found is of the log.
func (s System) logged(ctx context.Context, names []string, found []consumer.Operation) error {
	for _, name := range names {
		if slices.ContainsFunc(found, func(op consumer.Operation) bool { return op.Name == name }) {
			continue
		}
		older, err := s.operations(ctx, readview.OperationsQuery{Names: []string{name}, Limit: 1})
		if err == nil && len(older) == 0 {
			_, err = s.named(ctx, []string{name})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// maxOthers is how many operations on what is no projection are looked through.
const maxOthers = 10_000

type operationJSON struct {
	ID        string            `json:"id"` // such as p7 of a projection, c7 of another
	Kind      string            `json:"kind"`
	Name      string            `json:"name"`
	Command   string            `json:"command"`
	Actor     string            `json:"actor"`
	Arguments map[string]string `json:"arguments"`
	Outcome   string            `json:"outcome"`
	Detail    string            `json:"detail,omitempty"`
	Began     time.Time         `json:"began"`
	Ended     *time.Time        `json:"ended"` // null while it is under way
}

func (c *Commands) log() *cobra.Command {
	var query readview.OperationsQuery
	var asJSON bool
	command := &cobra.Command{
		Use:   "log [NAME...]",
		Short: "Show what was done to projections, relays and reactors, by whom, and what came of it",
		Long: "Shows what was done to projections, relays and reactors, by whom, and what came of it: every command that changes something is on\n" +
			"record in the transaction that changes it, whichever program did it. The last ones, in the order of time.",
		Example: c.examples("readviews log", "readviews log accounts --limit 10", "readviews log --json"),
		Args: func(cmd *cobra.Command, names []string) error {
			if query.Limit < 1 {
				return UsageError{fmt.Errorf("--limit: want at least 1")}
			}
			return nil // names also of projections that are no more, see logged
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			query.Names = names
			return c.open(cmd, func(s System) error {
				operations, err := s.operations(cmd.Context(), query)
				if err != nil {
					return err
				}
				if err := s.logged(cmd.Context(), names, operations); err != nil {
					return err
				}
				if asJSON {
					rows := make([]operationJSON, len(operations))
					for i, op := range operations {
						rows[i] = operationJSON{op.Ref(), string(op.Kind), op.Name, op.Command, op.Actor, op.Arguments, string(op.Outcome), op.Detail, op.Began, nil}
						if !op.Ended.IsZero() {
							rows[i].Ended = &op.Ended
						}
					}
					return terminal.JSON(cmd.OutOrStdout(), rows)
				}
				return terminal.Table(cmd.OutOrStdout(), "ID\tTIME\tKIND\tNAME\tCOMMAND\tACTOR\tARGUMENTS\tOUTCOME", operations, operationLine)
			})
		},
	}
	command.Flags().IntVar(&query.Limit, "limit", readview.DefaultOperations, "how many, the last ones")
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
		outcome += ": " + op.Detail
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", op.Ref(), op.Began.UTC().Format(time.RFC3339), op.Kind, op.Name, op.Command, op.Actor,
		cmp.Or(strings.Join(arguments, " "), "-"), outcome)
}
