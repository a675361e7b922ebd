package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/operate/terminal"
	"github.com/dancefinder/eventsourcing/readview"
)

// Main runs a program's commands with the process's arguments, see [Run], and ends the
// process. The first SIGINT or SIGTERM ends the command's context, the second one the process.
func Main(root *cobra.Command) {
	ctx, interrupt := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		interrupt(ErrInterrupted)
		<-signals // ends the process at once. By its default it might not: a shell has its background jobs ignore SIGINT
		_, _ = fmt.Fprintf(os.Stderr, "%s: %s\n", root.Name(), ErrInterrupted)
		os.Exit(ExitInterrupted)
	}()
	os.Exit(Run(ctx, root, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Run runs a program's commands and returns the exit code. It makes the program answer as
// these commands do: wrong words are refused with what may have been meant, errors
// are printed with the program's name and what to do, each command's help ends with its exit codes.
func Run(ctx context.Context, root *cobra.Command, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	prepare(root)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitDone
	}
	say := func(err error) {
		_, _ = fmt.Fprintf(stderr, "%s: %s\n", root.Name(), terminal.Text(forOperators(err.Error())))
	}
	if context.Cause(ctx) != nil {
		if !errors.Is(err, context.Canceled) {
			say(err)
		}
		say(ErrInterrupted)
		return ExitInterrupted
	}
	say(err)
	if errors.As(err, new(UsageError)) || errors.Is(err, readview.ErrUnknownProjection) {
		_, _ = fmt.Fprintf(stderr, "Try '%s --help'.\n", command.CommandPath())
		return ExitUsage
	}
	if hinted := (HintedError{}); errors.As(err, &hinted) {
		_, _ = fmt.Fprintln(stderr, terminal.Text(hinted.Hint))
	}
	if exit := (ExitError{}); errors.As(err, &exit) {
		return exit.Code
	}
	return ExitFailed
}
