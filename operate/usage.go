package operate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dancefinder/eventsourcing/operate/terminal"
)

// prepare makes a program answer as these commands do.
func prepare(root *cobra.Command) {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = true
	if !root.Runnable() {
		root.RunE = func(cmd *cobra.Command, _ []string) error {
			return errors.Join(cmd.Help(), UsageError{errors.New("no command given")})
		}
	}
	root.SetHelpCommand(helpCommand(root.Name()))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	root.InitDefaultVersionFlag()
	root.SetVersionTemplate(root.Name() + " {{.Version}}\n")
	root.SetUsageTemplate(root.UsageTemplate() + exitCodes)
	markUsage(root)
}

// exitCodes ends each command's help. Annotations of a command say otherwise: "exit 0" to
// "exit 3" what a code means, "runs" that it runs until it is interrupted.
const exitCodes = `
Exit codes:
  0    {{with index .Annotations "exit 0"}}{{.}}{{else}}done{{end}}{{if index .Annotations "runs"}}, also when it is interrupted{{end}}
  1    {{with index .Annotations "exit 1"}}{{.}}{{else}}failed: the last line says why{{end}}
  2    wrong usage{{with index .Annotations "exit 2"}}, or {{.}}{{end}}{{with index .Annotations "exit 3"}}
  3    {{.}}{{end}}{{if not (index .Annotations "runs")}}
  130  interrupted (Ctrl-C){{end}}
`

// helpCommand does what cobra's does, but takes an unknown topic for wrong usage.
func helpCommand(program string) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Help about any command",
		Example: "  " + program + " help completion bash",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return UsageError{fmt.Errorf("no help on %q", strings.Join(args, " "))}
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
			err = fmt.Errorf("%w%s", err, terminal.Suggest(unknown.GetSpecifiedName(), names, "--"))
		}
		if invalid := (*pflag.InvalidValueError)(nil); errors.As(err, &invalid) {
			err = fmt.Errorf("invalid argument %q for \"--%s\" flag: want %s", invalid.GetValue(), invalid.GetFlag().Name, wanted(invalid.GetFlag().Value.Type()))
		}
		return UsageError{err}
	})
	if !command.Runnable() {
		command.RunE = func(cmd *cobra.Command, _ []string) error {
			return UsageError{fmt.Errorf("%q needs to know what to do: one of %s", cmd.CommandPath(), strings.Join(names(cmd), ", "))}
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
		return UsageError{fmt.Errorf("unknown command %q for %q%s", given[0], cmd.CommandPath(), terminal.Suggest(given[0], names(cmd), ""))}
	}
	return UsageError{fmt.Errorf("%q takes no arguments, and was given %q", cmd.CommandPath(), strings.Join(given, " "))}
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
