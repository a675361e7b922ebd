package terminal_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/operate/terminal"
)

func TestPrintable(t *testing.T) {
	t.Parallel()
	const bad = "Ängs\x1b[31m\x1b[2J\rgone\u009b1m \u202etxt\x9b\xff\tcell\nline"
	const shown = `Ängs\x1b[31m\x1b[2J\rgone\u009b1m \u202etxt\x9b\xff` + "\tcell\nline"
	t.Run("shows what a terminal would do, once", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, shown, terminal.Text(bad))
		require.Equal(t, shown, terminal.Text(shown))
		var out bytes.Buffer
		n, err := fmt.Fprint(terminal.Printable(terminal.Printable(&out)), bad)
		require.NoError(t, err)
		require.Equal(t, len(bad), n)
		require.Equal(t, shown, out.String())
	})
	t.Run("a row of a table is one line", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		require.NoError(t, terminal.Table(&out, "NAME\tERROR", []string{"a\tb\x1b[2J\nc"}, func(s string) string { return s }))
		require.Equal(t, "NAME  ERROR\na     b\\x1b[2J; c\n", out.String())
	})
	t.Run("JSON quotes by itself", func(t *testing.T) {
		t.Parallel()
		var past, plain bytes.Buffer
		require.NoError(t, terminal.JSON(terminal.Printable(&past), bad))
		require.NoError(t, terminal.JSON(&plain, bad))
		require.Equal(t, plain.String(), past.String())
	})
}
