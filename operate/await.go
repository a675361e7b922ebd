package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/operate/terminal"
)

// Await waits until those named, or all, have applied all that is in the log, and
// shows how far the slowest is.
func (c *Commands) Await(ctx context.Context, s System, errOut io.Writer, names ...string) error {
	head, err := s.Log.Head(ctx)
	if err != nil {
		return err
	}
	total, _, err := s.left(ctx, head, names)
	if err != nil {
		return err
	}
	bar := terminal.NewProgress(errOut, "projecting", "events", total)
	defer bar.Done()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	arrived := make(chan error, 1)
	go func() { arrived <- s.Manager.WaitFor(ctx, head, names...) }()
	start := ""
	if c.config.Starts != "" {
		start = ": start '" + c.config.Starts + "'"
	}
	pause, began, told := lookEvery, time.Now(), false
	for {
		select {
		case err := <-arrived:
			if err == nil {
				bar.Set(total)
			}
			return err
		case <-time.After(pause):
		}
		asked := time.Now()
		left, idle, err := s.left(ctx, head, names)
		if err != nil {
			stop()
			return errors.Join(err, <-arrived)
		}
		bar.Set(total - min(left, total))
		pause = max(lookEvery, 20*time.Since(asked)) // to count a long log is work
		if idle != "" && !told && time.Since(began) > idlePatience {
			told = true
			bar.Interrupt()
			_, _ = fmt.Fprintf(errOut, "nobody runs %s%s; it goes on waiting\n", idle, start)
		}
	}
}

const (
	lookEvery    = 200 * time.Millisecond
	idlePatience = 5 * time.Second // then who waits is told that nobody is at work
)

// left returns how many events of the log up to head the slowest of the projections named, or
// of all, has before it, and one of those that nobody runs.
func (s System) left(ctx context.Context, head eventsourced.Position, names []string) (left int64, idle string, err error) {
	all, err := s.Manager.Status(ctx)
	if err != nil {
		return 0, "", err
	}
	slowest := head
	for _, p := range all {
		if len(names) > 0 && !slices.Contains(names, p.Name) {
			continue
		}
		slowest = min(slowest, p.Position)
		if p.Position < head && p.State == consumer.Standby {
			idle = p.Name
		}
	}
	if slowest >= head {
		return 0, idle, nil
	}
	left, err = s.Log.CountLog(ctx, eventsourced.LogQuery{After: slowest, UpTo: head})
	return left, idle, err
}
