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
	"strings"
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
	ctx, interrupt := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		interrupt()
		<-signals // ends the process at once. By its default it might not: a shell has its background jobs ignore SIGINT
		os.Exit(exitFailed)
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := rootCommand() //nolint:contextcheck // cobra hands the context to the commands
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
	if hinted := (hintedError{}); errors.As(err, &hinted) {
		_, _ = fmt.Fprintln(stderr, hinted.hint)
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
	root.PersistentFlags().String("database-url", "", "the PostgreSQL database (default: the environment's DATABASE_URL); with ?pool_max_conns=N it gets at most N connections, and one to listen")
	root.PersistentFlags().String("amqp-url", "", "the RabbitMQ broker (default: the environment's AMQP_URL, then none)")
	root.AddCommand(
		demoCommand(),
		serveCommand(),
		projectorCommand(),
		importCommand(),
		generateCommand(),
		migrateCommand(),
		adoptLegacyCommand(),
		readviewsCommand(),
		relayCommand(),
		geocodingCommand(),
	)
	root.SetHelpCommand(helpCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	markUsage(root)
	return root
}

// helpCommand does what cobra's does, but takes an unknown topic for wrong usage.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usageError{fmt.Errorf("no help on %q", strings.Join(args, " "))}
			}
			return topic.Help()
		},
	}
}

// markUsage makes the errors of flags and arguments usage errors, in all commands,
// and the use of a command that only holds others.
func markUsage(command *cobra.Command) {
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	if !command.Runnable() {
		command.Args = cobra.NoArgs
		command.RunE = func(cmd *cobra.Command, _ []string) error {
			return usageError{fmt.Errorf("%q needs to know what to do", cmd.CommandPath())}
		}
	}
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
	command := &cobra.Command{Use: use, Short: short}
	command.AddCommand(commands...)
	return command
}
