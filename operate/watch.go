package operate

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/operate/terminal"
)

// Sequences of a terminal.
const (
	clearScreen = "\x1b[H\x1b[2J"
	goHome      = "\x1b[H"
	endOfLine   = "\x1b[K\n" // what stood there before is gone
	endOfScreen = "\x1b[J"
)

// watch shows something again and again until the command is interrupted, which is no error. On a
// terminal it stays in place. A database that is away for a while is waited for.
func watch(cmd *cobra.Command, interval time.Duration, show func(ctx context.Context, w io.Writer) error) error {
	ctx, out := cmd.Context(), terminal.Raw(cmd.OutOrStdout())
	inPlace := terminal.Is(out)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for first := true; ; first = false {
		var text bytes.Buffer
		err := show(ctx, terminal.Printable(&text))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			_, _ = fmt.Fprintln(terminal.Printable(&text), err)
		}
		page := text.Bytes()
		switch {
		case inPlace:
			page = append(bytes.ReplaceAll(page, []byte("\n"), []byte(endOfLine)), endOfScreen...)
			if page = append([]byte(goHome), page...); first {
				page = append([]byte(clearScreen), page...)
			}
		case !first:
			page = append([]byte("\n"), page...)
		}
		if _, err := out.Write(page); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
