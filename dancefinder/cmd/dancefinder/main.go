// Command dancefinder runs DanceFinder: its projector, its import, and what its
// operators need. "dancefinder help" tells the rest.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dancefinder/eventsourcing/readview"
)

// Exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitBehind      = 3   // status --check: something has failed or is behind a limit
	exitInterrupted = 130 // 128 and the number of SIGINT, as shells have it
)

func main() {
	ctx, interrupt := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		interrupt(errInterrupted)
		<-signals // ends the process at once. By its default it might not: a shell has its background jobs ignore SIGINT
		_, _ = fmt.Fprintln(os.Stderr, "dancefinder:", errInterrupted)
		os.Exit(exitInterrupted)
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// errInterrupted is why the context of a command ends before its work does. What runs
// until it is interrupted is done then.
var errInterrupted = errors.New("interrupted")

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
	if interrupted := context.Cause(ctx); interrupted != nil {
		if !errors.Is(err, context.Canceled) {
			_, _ = fmt.Fprintln(stderr, "dancefinder:", err)
		}
		_, _ = fmt.Fprintln(stderr, "dancefinder:", errInterrupted)
		return exitInterrupted
	}
	_, _ = fmt.Fprintln(stderr, "dancefinder:", err)
	var usage usageError
	if errors.As(err, &usage) || errors.Is(err, readview.ErrUnknownProjection) {
		_, _ = fmt.Fprintf(stderr, "Try '%s --help'.\n", command.CommandPath())
		return exitUsage
	}
	if errors.As(err, new(behindError)) {
		return exitBehind
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
		Version:       version(),
		Example: "  dancefinder demo                                   # on private servers: nothing to set up\n" +
			"  export DATABASE_URL=postgres://me@localhost/dancefinder\n" +
			"  dancefinder migrate up\n" +
			"  dancefinder serve --demo-login",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return errors.Join(cmd.Help(), usageError{errors.New("no command given")})
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().String("database-url", "", "the PostgreSQL database (default: the environment's DATABASE_URL); with ?pool_max_conns=N it gets at most N connections, and one to listen")
	addBrokerFlags(root)
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
		reactorsCommand(),
		geocodingCommand(),
		deadLettersCommand(),
		queuesCommand(),
	)
	root.SetHelpCommand(helpCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	root.InitDefaultVersionFlag()
	root.SetVersionTemplate("dancefinder {{.Version}}\n")
	root.SetUsageTemplate(root.UsageTemplate() + exitCodes)
	markUsage(root)
	return root
}

// exitCodes ends each command's help.
const exitCodes = `
Exit codes:
  0    done{{if index .Annotations "runs"}}, also when it is interrupted{{end}}
  1    failed: the last line says why
  2    wrong usage{{if index .Annotations "checks"}}
  3    with --check: something has failed, or is behind a limit{{end}}{{if not (index .Annotations "runs")}}
  130  interrupted (Ctrl-C){{end}}
`

// runs marks a command that runs until it is interrupted.
func runs() map[string]string { return map[string]string{"runs": "true"} }

// version says of which source the program was built.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := cmp.Or(info.Main.Version, "(devel)")
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	if revision := settings["vcs.revision"]; revision != "" {
		text += fmt.Sprintf(", commit %.12s of %s", revision, settings["vcs.time"])
		if settings["vcs.modified"] == "true" {
			text += " and changes since"
		}
	}
	return text + ", " + info.GoVersion
}

// helpCommand does what cobra's does, but takes an unknown topic for wrong usage.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Help about any command",
		Example: "  dancefinder help readviews reset",
		Args:    cobra.ArbitraryArgs,
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
	command.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
			var names []string
			cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
			err = fmt.Errorf("%w%s", err, didYouMean(unknown.GetSpecifiedName(), names, "--"))
		}
		if invalid := (*pflag.InvalidValueError)(nil); errors.As(err, &invalid) {
			err = fmt.Errorf("invalid argument %q for \"--%s\" flag: want %s", invalid.GetValue(), invalid.GetFlag().Name, wanted(invalid.GetFlag().Value.Type()))
		}
		return usageError{err}
	})
	if !command.Runnable() {
		command.RunE = func(cmd *cobra.Command, _ []string) error {
			return usageError{fmt.Errorf("%q needs to know what to do: one of %s", cmd.CommandPath(), strings.Join(names(cmd), ", "))}
		}
	}
	if cobras := command.HasParent() && command.Parent().Name() == "completion"; command.Args == nil || command.HasSubCommands() || cobras {
		command.Args = noArguments
	}
	for _, child := range command.Commands() {
		markUsage(child)
	}
}

// wanted says what the value of a flag of some type is.
func wanted(kind string) string {
	switch kind {
	case "bool":
		return "true or false"
	case "duration":
		return "a duration such as 90s or 10m"
	case "int", "int64":
		return "a whole number"
	case "uint64":
		return "a whole number, not below 0"
	}
	return "a " + kind
}

// noArguments refuses words that are no command, or are too many.
func noArguments(cmd *cobra.Command, given []string) error {
	switch {
	case len(given) == 0:
		return nil
	case cmd.HasAvailableSubCommands():
		return usageError{fmt.Errorf("unknown command %q for %q%s", given[0], cmd.CommandPath(), didYouMean(given[0], names(cmd), ""))}
	}
	return usageError{fmt.Errorf("%q takes no arguments, and was given %q", cmd.CommandPath(), strings.Join(given, " "))}
}

// names are those of the commands of a command.
func names(cmd *cobra.Command) (all []string) {
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			all = append(all, child.Name())
		}
	}
	return all
}

// group returns a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short}
	command.AddCommand(commands...)
	return command
}
