package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/dancefinder/eventsourcing/operate"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// nowhere is a database that refuses connections.
const nowhere = "postgres://127.0.0.1:1/nobody"

// commands are all that work on a database.
var commands = [][]string{
	{"projector"},
	{"import", "-"},
	{"migrate", "up"},
	{"migrate", "status"},
	{"readviews", "status"},
	{"readviews", "reset", "band"},
	{"readviews", "pause", "band"},
	{"readviews", "resume", "band"},
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for line, says := range map[string]string{
		"":                                             "no command given",
		"nonsense":                                     `unknown command "nonsense" for "dancefinder"`,
		"--nonsense":                                   "unknown flag: --nonsense",
		"help nonsense":                                `no help on "nonsense"`,
		"help readviews nonsense":                      `no help on "readviews nonsense"`,
		"completion":                                   `"dancefinder completion" needs to know what to do`,
		"completion bash nonsense":                     `"dancefinder completion bash" takes no arguments, and was given "nonsense"`,
		"demo nonsense":                                `"dancefinder demo" takes no arguments, and was given "nonsense"`,
		"demo --nonsense":                              "unknown flag: --nonsense",
		"demo --years 0":                               "--years 0: want 1 to 100",
		"demo --years 101":                             "--years 101: want 1 to 100",
		"demo --years many":                            `invalid argument "many" for "--years" flag: want a whole number` + "\n",
		"demo --seed -1":                               `invalid argument "-1" for "--seed" flag: want a whole number, not below 0` + "\n",
		"projector nonsense":                           `"dancefinder projector" takes no arguments, and was given "nonsense"`,
		"projector --nonsense":                         "unknown flag: --nonsense",
		"import":                                       "name at least one file, or - for standard input",
		"import --nonsense -":                          "unknown flag: --nonsense",
		"import --year -4 -":                           "--year -4: want 1900 to 2199",
		"import --year soon -":                         `invalid argument "soon" for "--year" flag`,
		"generate nonsense":                            `"dancefinder generate" takes no arguments, and was given "nonsense"`,
		"generate --nonsense":                          "unknown flag: --nonsense",
		"generate --edition 0":                         "--edition 0: want 1 to 2",
		"generate --edition 3":                         "--edition 3: want 1 to 2",
		"generate --years -1":                          "--years -1: want 1 to 100",
		"generate --start soon":                        `--start "soon": want a date such as 2026-01-01`,
		"generate --seed 1.5":                          `invalid argument "1.5" for "--seed" flag`,
		"migrate":                                      `"dancefinder migrate" needs to know what to do`,
		"migrate sideways":                             `unknown command "sideways" for "dancefinder migrate"`,
		"migrate --nonsense":                           "unknown flag: --nonsense",
		"migrate up nonsense":                          `"dancefinder migrate up" takes no arguments, and was given "nonsense"`,
		"migrate up --nonsense":                        "unknown flag: --nonsense",
		"migrate status nonsense":                      `"dancefinder migrate status" takes no arguments, and was given "nonsense"`,
		"migrate status --nonsense":                    "unknown flag: --nonsense",
		"readviews":                                    `"dancefinder readviews" needs to know what to do`,
		"readviews nonsense":                           `unknown command "nonsense" for "dancefinder readviews"`,
		"readviews status nonsense":                    `"dancefinder readviews status" takes no arguments, and was given "nonsense"`,
		"readviews status --nonsense":                  "unknown flag: --nonsense",
		"readviews reset":                              "name at least one projection: band, dancehall, event, userpreferences",
		"readviews reset --nonsense band":              "unknown flag: --nonsense",
		"readviews pause":                              "name at least one projection: band, dancehall, event, userpreferences",
		"readviews pause --nonsense":                   "unknown flag: --nonsense",
		"readviews resume":                             "name at least one projection: band, dancehall, event, userpreferences",
		"readviews resume --nonsense":                  "unknown flag: --nonsense",
		"readviews status --json=soon":                 `invalid argument "soon" for "--json" flag: want true or false` + "\n",
		"readviews status --check --max-lag 5":         `invalid argument "5" for "--max-lag" flag: want a duration such as 90s or 10m` + "\n",
		"migrate up --database-url":                    "flag needs an argument: --database-url",
		"deadletters list":                             `"dancefinder deadletters list" wants a topic and a group`,
		"deadletters requeue a b":                      "--all, or ids: choose one",
		"queues upgrade a b c":                         `"dancefinder queues upgrade" takes 2 arguments`,
		"queues upgrade a b":                           "no broker: set AMQP_URL",
		"migrat up":                                    `unknown command "migrat" for "dancefinder"; did you mean migrate?`,
		"readviews rest":                               `unknown command "rest" for "dancefinder readviews"; did you mean reset?`,
		"readviews reset bnad":                         `unknown projection "bnad", want one of: band, dancehall, event, userpreferences; did you mean band?`,
		"readviews status --jsn":                       "unknown flag: --jsn; did you mean --json?",
		"readviews reset --all band":                   "--all, or names: choose one",
		"readviews status --max-lag 1m":                "--max-behind, --max-lag and --max-parked go with --check",
		"relay status --check --max-behind -1":         "--max-behind -1: want 0 to 10000, to which is counted",
		"--database-url nonsense migrate up":           "the database URL: ",
		"--database-url postgres://h:port/d projector": "the database URL: ",
		"--database-url postgres://h/d?pool_max_conns=x import -":  "the database URL: ",
		"--database-url mysql://root@localhost/d readviews status": "the database URL: ",
	} {
		t.Run("dancefinder "+line+" is refused", func(t *testing.T) {
			t.Parallel()
			got := dancefinder(t, strings.Fields(line)...)
			require.Equal(t, operate.ExitUsage, got.code)
			require.Contains(t, got.err, "dancefinder: "+says)
			require.Regexp(t, `Try 'dancefinder[a-z ]* --help'\.\n$`, got.err)
			require.Equal(t, line == "", strings.Contains(got.out, "Available Commands:"))
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"--help", "help", "help demo", "help readviews reset", "demo --help", "projector --help", "import --help", "generate --help",
		"migrate --help", "migrate up -h", "readviews --help", "readviews status -h", "readviews reset -h", "completion bash --help",
	} {
		t.Run("dancefinder "+line+" is answered", func(t *testing.T) {
			t.Parallel()
			got := dancefinder(t, strings.Fields(line)...)
			require.Equal(t, operate.ExitDone, got.code)
			require.Contains(t, got.out, "Usage:\n  dancefinder")
			require.Regexp(t, `\nExit codes:\n  0    done(.*\n)+  2    wrong usage\n`, got.out)
			require.Empty(t, got.err)
		})
	}
	t.Run("has an example for each command, and what ends it", func(t *testing.T) {
		t.Parallel()
		requireHelp(t, rootCommand())
	})
}

func requireHelp(t *testing.T, command *cobra.Command) {
	t.Helper()
	for _, child := range command.Commands() {
		if child.Name() != "completion" && child.IsAvailableCommand() {
			requireHelp(t, child)
		}
	}
	if command.HasSubCommands() {
		return
	}
	line := strings.Fields(command.CommandPath())[1:]
	help := dancefinder(t, append(line, "--help")...).out
	require.Regexp(t, `\nExamples:\n.*`+command.CommandPath(), help)
	require.Equal(t, command.Name() != "projector" && command.Name() != "serve", strings.Contains(help, "130  interrupted"), command.CommandPath())
	require.Equal(t, command.Flags().Lookup("check") != nil, strings.Contains(help, "3    with --check"), command.CommandPath())
}

func TestVersion(t *testing.T) {
	t.Parallel()
	got := dancefinder(t, "--version")
	require.Equal(t, operate.ExitDone, got.code)
	require.Regexp(t, `^dancefinder \S+.*, go1\.\d+\S*\n$`, got.out)
}

// Not parallel: it changes the environment.
func TestDatabaseOfTheEnvironment(t *testing.T) {
	d := newDatabase(t)
	t.Run("that is missing is wrong usage", func(t *testing.T) {
		t.Setenv("DATABASE_URL", "")
		for _, command := range commands {
			got := dancefinder(t, command...)
			require.Equal(t, operate.ExitUsage, got.code, command)
			require.Contains(t, got.err, "dancefinder: no database: set DATABASE_URL or give --database-url postgres://", command)
		}
	})
	t.Run("that is no URL is wrong usage", func(t *testing.T) {
		t.Setenv("DATABASE_URL", "nonsense")
		require.Equal(t, operate.ExitUsage, dancefinder(t, "migrate", "status").code)
	})
	t.Run("is used", func(t *testing.T) {
		t.Setenv("DATABASE_URL", d.URL)
		got := dancefinder(t, "migrate", "status")
		require.Equal(t, operate.ExitDone, got.code, got.err)
	})
	t.Run("gives way to the command line's", func(t *testing.T) {
		t.Setenv("DATABASE_URL", nowhere)
		d.done("migrate", "status")
	})
	t.Run("is not needed for listings", func(t *testing.T) {
		t.Setenv("DATABASE_URL", "nonsense")
		require.Equal(t, operate.ExitDone, dancefinder(t, "generate").code)
	})
}

func TestDatabaseThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for _, command := range commands {
		t.Run("fails "+strings.Join(command, " "), func(t *testing.T) {
			t.Parallel()
			got := dancefinder(t, append(command[:len(command):len(command)], "--database-url", nowhere)...)
			require.Equal(t, operate.ExitFailed, got.code)
			require.Contains(t, got.err, "dancefinder: the database does not answer: ")
			require.NotContains(t, got.err, "--help")
			require.Empty(t, got.out)
		})
	}
	t.Run("keeps its password to itself", func(t *testing.T) {
		t.Parallel()
		for _, url := range []string{"postgres://me:hushhush@127.0.0.1:1/nobody", "postgres://me:hushhush@127.0.0.1:port/nobody"} {
			got := dancefinder(t, "migrate", "status", "--database-url", url)
			require.NotEqual(t, operate.ExitDone, got.code)
			require.NotContains(t, got.err, "hushhush")
		}
	})
}

func TestDatabaseWithoutTables(t *testing.T) {
	t.Parallel()
	listing := filepath.Join(t.TempDir(), "july.csv")
	write(t, listing, july)
	for _, command := range [][]string{
		{"projector"}, {"import", listing}, {"readviews", "status"}, {"readviews", "status", "--json"},
		{"readviews", "reset", "band"}, {"readviews", "pause", "band"}, {"readviews", "resume", "band"},
	} {
		t.Run("makes "+strings.Join(command[:min(2, len(command))], " ")+" say what to run", func(t *testing.T) {
			t.Parallel()
			got := newDatabase(t).run(command...)
			require.Equal(t, operate.ExitFailed, got.code)
			require.Regexp(t, `(?i)run 'dancefinder migrate up'`, got.err)
		})
	}
}

func TestUnknownProjection(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	for verb, says := range map[string]string{
		"reset":  `unknown projection "nonsense", want one of: band, dancehall, event, userpreferences`,
		"pause":  `unknown name "nonsense", want one of: band, dancehall, event, userpreferences, geocoding`,
		"resume": `unknown name "nonsense", want one of: band, dancehall, event, userpreferences, geocoding`,
	} {
		t.Run("is refused by "+verb+", which does nothing then", func(t *testing.T) {
			got := d.run("readviews", verb, "band", "nonsense")
			require.Equal(t, operate.ExitUsage, got.code)
			require.Contains(t, got.err, "dancefinder: "+says)
			require.Contains(t, got.err, "Try 'dancefinder readviews "+verb+" --help'.")
			require.Empty(t, got.out)
			require.Zero(t, d.number("SELECT count(*) FROM readviews"), "band was not touched")
		})
	}
}
