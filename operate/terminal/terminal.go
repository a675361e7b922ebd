// Package terminal prints and asks what commands print and ask: tables, JSON, a bar that
// shows progress, a question that wants a yes.
package terminal

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"
)

// ErrDeclined is the answer of somebody who was asked, see [Ask].
var ErrDeclined = errors.New("nothing was done")

// Table prints rows of tab-separated cells under a heading, in columns, as a [Text]. A row is one line, also when a cell has several.
func Table[T any](w io.Writer, heading string, rows []T, line func(T) string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, heading)
	for _, row := range rows {
		_, _ = fmt.Fprintln(t, Text(strings.ReplaceAll(line(row), "\n", "; ")))
	}
	return t.Flush()
}

// JSON writes one document for programs.
func JSON(w io.Writer, document any) error {
	encoder := json.NewEncoder(Raw(w)) // which quotes by itself
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(document)
}

// Is tells whether stream, a reader or a writer, is a terminal.
func Is(stream any) bool {
	if w, ok := stream.(io.Writer); ok {
		stream = Raw(w)
	}
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Ask puts a question, and returns nil when the answer is yes, [ErrDeclined] when it is
// another one, and ctx's error when that ends first.
func Ask(ctx context.Context, in io.Reader, out io.Writer, question string) error {
	_, _ = fmt.Fprint(out, question, " [y/N] ")
	answer, err := bufio.NewReader(Interruptible(ctx, in)).ReadString('\n')
	if err != nil && ctx.Err() != nil {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return ErrDeclined
}

// Interruptible returns a reader that does not outlast ctx: a terminal or a pipe may keep
// a read for ever, and what is read then is lost.
func Interruptible(ctx context.Context, r io.Reader) io.Reader {
	return &interruptible{ctx: ctx, r: r}
}

type interruptible struct {
	ctx context.Context //nolint:containedctx // of the command, for which this is its input
	r   io.Reader
}

// Read implements [io.Reader].
func (i *interruptible) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	type outcome struct {
		n   int
		err error
	}
	buffer, read := make([]byte, len(b)), make(chan outcome, 1)
	go func() { // ends with the process at the latest
		n, err := i.r.Read(buffer)
		read <- outcome{n, err}
	}()
	select {
	case got := <-read:
		return copy(b, buffer[:got.n]), got.err
	case <-i.ctx.Done():
		return 0, i.ctx.Err()
	}
}
