// Command dancefinder runs DanceFinder: its projector, its import, and what its
// operators need. "dancefinder help" tells the rest.
package main

import (
	"cmp"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/operate"
)

func main() { operate.Main(rootCommand()) }

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:     "dancefinder",
		Short:   "Find dances: events, projections and the tools of those who run them",
		Version: version(),
		Example: "  dancefinder demo                                   # on private servers: nothing to set up\n" +
			"  export DATABASE_URL=postgres://me@localhost/dancefinder\n" +
			"  dancefinder migrate up\n" +
			"  dancefinder serve --demo-login",
	}
	root.PersistentFlags().String("database-url", "", "the PostgreSQL database (default: the environment's DATABASE_URL); with ?pool_max_conns=N it gets at most N connections, and one to listen")
	root.PersistentFlags().String("archive-dir", "", "the directory of archived events, if there are any (default: the environment's ARCHIVE_DIR); the same for every process")
	addBrokerFlags(root)
	commands := operateCommands()
	root.AddCommand(
		demoCommand(),
		serveCommand(),
		projectorCommand(),
		importCommand(),
		generateCommand(),
		migrateCommand(),
		adoptLegacyCommand(),
		commands.Readviews(),
		commands.Log(),
		commands.Relay(),
		commands.Reactors(),
		geocodingCommand(),
		deadLettersCommand(),
		queuesCommand(),
	)
	return root
}

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

// group returns a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short}
	command.AddCommand(commands...)
	return command
}
