// Command dancefinder runs DanceFinder: its projector, its import, and what its
// operators need. "dancefinder help" tells the rest.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/readview"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	_, _ = fmt.Fprintln(stderr, "dancefinder:", err)
	var usage usageError
	if errors.As(err, &usage) || errors.Is(err, readview.ErrUnknownProjection) {
		_, _ = fmt.Fprintf(stderr, "Try '%s --help'.\n", command.CommandPath())
		return exitUsage
	}
	return exitFailed
}

// usageError is the user's: wrong words on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "dancefinder",
		Short:         "Find dances: events, projections and the tools of those who run them",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return errors.Join(cmd.Help(), usageError{errors.New("no command given")})
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().String("database-url", "", "the PostgreSQL database (default: the environment's DATABASE_URL)")
	root.AddCommand(
		demoCommand(),
		projectorCommand(),
		importCommand(),
		generateCommand(),
		migrateCommand(),
		readviewsCommand(),
	)
	markUsage(root)
	return root
}

// markUsage makes the errors of flags and arguments usage errors, in all commands.
func markUsage(command *cobra.Command) {
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	if args := command.Args; args != nil {
		command.Args = usage(args)
	}
	for _, child := range command.Commands() {
		markUsage(child)
	}
}

func usage(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		err := args(cmd, given)
		if err == nil || errors.As(err, new(usageError)) {
			return err
		}
		return usageError{err}
	}
}

// group returns a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	command := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{fmt.Errorf("%q needs to know what to do", cmd.CommandPath())}
		},
	}
	command.AddCommand(commands...)
	return command
}
