package terminal_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/operate/terminal"
)

// Without a terminal; with one it is the progress bar's.
func TestProgress(t *testing.T) {
	t.Parallel()
	begun := func(ago time.Duration, total int64) (*terminal.Progress, *bytes.Buffer) {
		var out bytes.Buffer
		p := terminal.NewProgress(&out, "import", "rows", total)
		p.Age(ago)
		return p, &out
	}
	t.Run("is silent at first and has a line at the end", func(t *testing.T) {
		t.Parallel()
		p, out := begun(2*time.Second, 100)
		p.Set(50)
		p.Interrupt()
		require.Empty(t, out.String())
		p.Set(100)
		p.Done()
		require.Regexp(t, `^import: 100 of 100 rows in 2(\.\d)?s, \d\d a second\n$`, out.String())
	})
	t.Run("has a line every five seconds, with what is left", func(t *testing.T) {
		t.Parallel()
		p, out := begun(10*time.Second, 100)
		p.Set(20)
		p.Set(21)
		require.Regexp(t, `^import: 20 of 100 rows in 10(\.\d)?s, 2 a second, 4\ds left\n$`, out.String())
	})
	t.Run("says nothing of what it does not know", func(t *testing.T) {
		t.Parallel()
		p, out := begun(10*time.Second, -1)
		p.Set(20)
		require.Regexp(t, `^import: 20 rows in 10(\.\d)?s, 2 a second\n$`, out.String())
		p, out = begun(10*time.Second, 100)
		p.Set(0)
		require.Regexp(t, `^import: 0 of 100 rows in 10(\.\d)?s, 0 a second\n$`, out.String())
	})
	t.Run("counts the bytes that pass", func(t *testing.T) {
		t.Parallel()
		p, out := begun(10*time.Second, 32)
		for range 2 {
			n, err := p.Write(make([]byte, 16))
			require.NoError(t, err)
			require.Equal(t, 16, n)
		}
		p.Done()
		require.Regexp(t, `^import: 16 of 32 rows in .*, 2 a second, 1\ds left\nimport: 32 of 32 rows in .*, 3 a second\n$`, out.String())
	})
}
