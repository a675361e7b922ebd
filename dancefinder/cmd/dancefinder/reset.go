package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dancefinder/eventsourcing/dancefinder/projections"
	"github.com/dancefinder/eventsourcing/eventsourced"
	log "github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// resetRun is what "readviews reset" is asked to do.
type resetRun struct {
	all, wait, dryRun, yes bool
}

func resetCommand() *cobra.Command {
	r := resetRun{}
	command := &cobra.Command{
		Use:   "reset {NAME... | --all}",
		Short: "Empty read views and apply all events again",
		Long: "Empties the tables of each projection and sets its position to 0, in one transaction.\n" +
			"A running projector notices and applies all events again; until it is through, the tables are incomplete.\n" +
			"In a terminal it asks before it does so.",
		Example: "  dancefinder readviews reset band\n" +
			"  dancefinder readviews reset --all --dry-run\n" +
			"  dancefinder readviews reset --all --yes --wait",
		Args: func(cmd *cobra.Command, names []string) error {
			if r.all && len(names) > 0 {
				return usageError{errors.New("--all, or names: choose one")}
			}
			if r.all {
				return nil
			}
			return projectionNamed(cmd, names)
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			return withApp(cmd, func(a *app) error { return r.reset(cmd, a, names) })
		},
	}
	command.Flags().BoolVar(&r.all, "all", false, "reset all projections")
	command.Flags().BoolVar(&r.wait, "wait", false, "wait until all events are applied again")
	command.Flags().BoolVar(&r.dryRun, "dry-run", false, "say what it would empty, and do nothing")
	command.Flags().BoolVar(&r.yes, "yes", false, "don't ask, also in a terminal")
	return command
}

func (r resetRun) reset(cmd *cobra.Command, a *app, names []string) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if r.all {
		names = a.manager.Names()
	}
	if err := a.checkAdopted(ctx); err != nil {
		return err
	}
	if r.dryRun {
		return a.describeReset(ctx, out, names)
	}
	if in := cmd.InOrStdin(); !r.yes && isTerminalInput(in) {
		errOut := cmd.ErrOrStderr()
		if err := a.describeReset(ctx, errOut, names); err != nil {
			return err
		}
		if err := ask(ctx, in, errOut, "Empty these tables and apply all events again?"); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := a.manager.ResetProjection(ctx, name); err != nil {
			return err
		}
		_, _ = fmt.Fprintln(out, "reset", name)
	}
	if !r.wait {
		return nil
	}
	return a.awaitProjections(ctx, cmd.ErrOrStderr(), names...)
}

// describeReset says what a reset empties.
func (a *app) describeReset(ctx context.Context, w io.Writer, names []string) error {
	all, err := a.manager.Status(ctx)
	if err != nil {
		return err
	}
	type row struct {
		projection, table string
		rows, position    int64
	}
	var rows []row
	for _, p := range projections.All() {
		if !slices.Contains(names, p.Name) {
			continue
		}
		at := slices.IndexFunc(all, func(s log.Status) bool { return s.Name == p.Name })
		for _, name := range p.Tables {
			r := row{projection: p.Name, table: name, position: int64(all[at].Position)}
			if err := a.pool.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{name}.Sanitize()).Scan(&r.rows); err != nil {
				return err
			}
			rows = append(rows, r)
		}
	}
	return table(w, "PROJECTION\tAT POSITION\tEMPTIES\tROWS", rows, func(r row) string {
		return fmt.Sprintf("%s\t%d\t%s\t%d", r.projection, r.position, r.table, r.rows)
	})
}

func isTerminalInput(in io.Reader) bool {
	file, ok := in.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// errDeclined is the answer of somebody who was asked.
var errDeclined = errors.New("nothing was done")

// ask returns an error unless the answer is yes.
func ask(ctx context.Context, in io.Reader, out io.Writer, question string) error {
	_, _ = fmt.Fprint(out, question, " [y/N] ")
	answer, err := bufio.NewReader(interruptible(ctx, in)).ReadString('\n')
	if err != nil && ctx.Err() != nil {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errDeclined
}

// interruptible returns a reader that does not outlast ctx: a terminal or a pipe may keep
// a read for ever, and what is read then is lost.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	return &interruptibleReader{ctx: ctx, r: r}
}

type interruptibleReader struct {
	ctx context.Context //nolint:containedctx // of the command, for which this is its input
	r   io.Reader
}

func (i *interruptibleReader) Read(b []byte) (int, error) {
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

// awaitProjections waits until those named, or all, have applied all that is in the log, and
// shows how far the slowest is.
func (a *app) awaitProjections(ctx context.Context, errOut io.Writer, names ...string) error {
	head, err := a.store.Head(ctx)
	if err != nil {
		return err
	}
	total, _, err := a.left(ctx, head, names)
	if err != nil {
		return err
	}
	bar := newProgress(errOut, "projecting", "events", total)
	defer bar.done()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	arrived := make(chan error, 1)
	go func() { arrived <- a.manager.WaitFor(ctx, head, names...) }()
	pause, began, told := lookEvery, time.Now(), false
	for {
		select {
		case err := <-arrived:
			if err == nil {
				bar.set(total)
			}
			return err
		case <-time.After(pause):
		}
		asked := time.Now()
		left, idle, err := a.left(ctx, head, names)
		if err != nil {
			stop()
			return errors.Join(err, <-arrived)
		}
		bar.set(total - min(left, total))
		pause = max(lookEvery, 20*time.Since(asked)) // to count a long log is work
		if idle != "" && !told && time.Since(began) > idlePatience {
			told = true
			bar.interrupt()
			_, _ = fmt.Fprintf(errOut, "nobody runs %s: start 'dancefinder projector'; it goes on waiting\n", idle)
		}
	}
}

const (
	lookEvery    = 200 * time.Millisecond
	idlePatience = 5 * time.Second // then who waits is told that nobody is at work
)

// left returns how many events of the log up to head the slowest of the projections named, or
// of all, has before it, and one of those that nobody runs.
func (a *app) left(ctx context.Context, head eventsourced.Position, names []string) (left int64, idle string, err error) {
	all, err := a.manager.Status(ctx)
	if err != nil {
		return 0, "", err
	}
	slowest := head
	for _, s := range all {
		if len(names) > 0 && !slices.Contains(names, s.Name) {
			continue
		}
		slowest = min(slowest, s.Position)
		if s.Position < head && s.State == log.Standby {
			idle = s.Name
		}
	}
	if slowest >= head {
		return 0, idle, nil
	}
	left, err = a.store.CountLog(ctx, eventsourced.LogQuery{After: slowest, UpTo: head})
	return left, idle, err
}
