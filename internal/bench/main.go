// Bench compares the framework with named baselines, all in one run on one
// private PostgreSQL with the durability of production. "make bench" runs it.
//
// A figure has contenders, of which one is the baseline. They take turns, round
// by round, so that a machine that gets slower does so for all of them. What
// counts is the median of the rounds, and the median of their ratios to the baseline
// in the same round.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/dancefinder/eventsourcing/devservices"
)

// figure is something that is measured.
type figure struct {
	name     string
	unit     string
	baseline string // one of the contenders
	goal     string // what the first contender has to reach, for the table
	prepare  func(ctx context.Context, e *environment) ([]contender, error)
	onceOnly bool // rounds would say the same
	finer    int  // so many times the rounds, each short: where the disk is much of it
}

// contender does the figure's work once and returns what it measured.
type contender struct {
	name string
	run  func(ctx context.Context) (float64, error)
}

// row is one line of the result.
type row struct {
	Figure    string  `json:"figure"`
	Contender string  `json:"contender"`
	Value     float64 `json:"value"`
	Unit      string  `json:"unit"`
	Baseline  string  `json:"baseline"`
	Ratio     float64 `json:"ratio"`

	goal string
}

func main() {
	rounds := flag.Int("rounds", 5, "how often each contender runs")
	only := flag.String("only", "", "a regular expression: only the figures whose names match")
	profile := flag.String("cpuprofile", "", "write a CPU profile of the whole run to this file")
	out := flag.String("json", "", "write the result to this file, too")
	large := flag.Int("large", 0, "measure a log of so many events beside one of a million, and nothing else")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *profile != "" {
		file, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(file)
		}
		if err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		defer pprof.StopCPUProfile()
	}
	if err := run(ctx, *rounds, *large, *only, *out); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds, large int, only, out string) (err error) {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	server, err := startPostgres(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBroker(), server.Close()) }()
	all := figures()
	if large > 0 {
		var closeLogs func() error
		if all, closeLogs, err = largeFigures(ctx, server.URL(), large); err != nil {
			return err
		}
		defer func() { err = errors.Join(closeLogs(), err) }()
	}
	var rows []row
	for _, f := range all {
		if !pattern.MatchString(f.name) {
			continue
		}
		measured, err := measure(ctx, f, rounds, server.URL())
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		rows = append(rows, measured...)
	}
	if err := write(rows); err != nil || out == "" {
		return err
	}
	encoded, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(encoded, '\n'), 0o644)
}

func startPostgres(ctx context.Context) (*devservices.Postgres, error) {
	config := devservices.PostgresConfig{Durable: true, Log: os.Stderr, Settings: map[string]string{
		"max_connections": "700", // as many as two contenders like
		"shared_buffers":  "512MB",
		"max_wal_size":    "4GB",
	}}
	server, err := devservices.StartPostgres(ctx, config)
	if errors.Is(err, devservices.ErrNotInstalled) {
		if err := devservices.InstallPostgres(ctx, os.Stderr); err != nil {
			return nil, err
		}
		return devservices.StartPostgres(ctx, config)
	}
	return server, err
}

// measure runs all rounds of a figure, in a database of its own.
func measure(ctx context.Context, f figure, rounds int, url string) (rows []row, err error) {
	started := time.Now()
	e, err := newEnvironment(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.close(context.WithoutCancel(ctx))) }()
	contenders, err := f.prepare(ctx, e)
	if err != nil {
		return nil, err
	}
	switch {
	case f.onceOnly:
		rounds = 1
	case f.finer > 0:
		rounds *= f.finer
	}
	values := make([][]float64, len(contenders))
	for round := range rounds {
		for i, c := range contenders {
			_, _ = fmt.Fprintf(os.Stderr, "\r\033[K%s, round %d of %d: %s", f.name, round+1, rounds, c.name)
			value, err := c.run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			values[i] = append(values[i], value)
		}
	}
	_, _ = fmt.Fprintf(os.Stderr, "\r\033[K%s: %s\n", f.name, time.Since(started).Round(time.Second))
	baseline := slices.IndexFunc(contenders, func(c contender) bool { return c.name == f.baseline })
	for i, c := range contenders {
		r := row{Figure: f.name, Contender: c.name, Value: median(values[i]), Unit: f.unit, Baseline: f.baseline}
		if baseline >= 0 {
			ratios := make([]float64, rounds)
			for round := range ratios {
				ratios[round] = values[i][round] / values[baseline][round]
			}
			r.Ratio = median(ratios)
		}
		if i == 0 {
			r.goal = f.goal
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func write(rows []row) error {
	fmt.Printf("\n%s %s/%s, %d processors, medians of rounds in turn and of their ratios\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "FIGURE\tCONTENDER\tVALUE\tUNIT\tRATIO TO\t\tGOAL")
	last := ""
	for _, r := range rows {
		name := r.Figure
		if name == last {
			name = ""
		}
		last = r.Figure
		value := fmt.Sprintf("%.0f", r.Value)
		if r.Value < 100 {
			value = fmt.Sprintf("%.2f", r.Value)
		}
		ratio := ""
		if r.Baseline != "" {
			ratio = fmt.Sprintf("%.2f", r.Ratio)
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, r.Contender, value, r.Unit, r.Baseline, ratio, r.goal)
	}
	return t.Flush()
}
