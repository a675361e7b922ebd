package operate

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/operate/terminal"
	"github.com/dancefinder/eventsourcing/readview"
)

// rebuilding is what "readviews rebuild" and "readviews rollback" are asked to do.
type rebuilding struct {
	how                 string
	keep, patience      time.Duration
	verify              bool
	dryRun, yes, asJSON bool
	do                  func(m *readview.Manager, ctx context.Context, name string, options readview.RebuildOptions) (readview.Rebuilt, error)
	plan                func(m *readview.Manager, ctx context.Context, name string, options readview.RebuildOptions) (readview.RebuildPlan, error)
}

// rebuilds returns the commands about tables beside the live ones.
func (c *Commands) rebuilds() []*cobra.Command {
	return []*cobra.Command{c.rebuild(), c.rollback(), c.verify(), c.cleanup()}
}

func (r *rebuilding) flags(command *cobra.Command, how string) {
	flags := command.Flags()
	flags.StringVar(&r.how, "how", how, "apply the rows that differ, swap the tables, auto, or ask when they are known")
	flags.DurationVar(&r.keep, "keep", readview.DefaultKeep, "for how long to keep what was there before; 0 keeps nothing")
	flags.DurationVar(&r.patience, "patience", readview.DefaultPatience, "how long to wait for others at the end")
	flags.BoolVar(&r.dryRun, "dry-run", false, "say what it would do, or what is in the way, and do nothing")
	flags.BoolVar(&r.yes, "yes", false, "don't ask, also in a terminal")
	flags.BoolVar(&r.asJSON, "json", false, "print a list for programs")
}

func (c *Commands) rebuild() *cobra.Command {
	r := &rebuilding{do: (*readview.Manager).Rebuild, plan: (*readview.Manager).PlanRebuild}
	command := &cobra.Command{
		Use:   "rebuild NAME...",
		Short: "Replay projections beside their tables, and give those the content, while all is read and goes on",
		Long: "Replays each projection with this program's handlers into tables beside the live ones, at full speed. Then, in\n" +
			"one transaction, the live tables get the rows that differ (--how=apply), or the new ones take their place\n" +
			"(--how=swap: refused when anything depends on them). No reader sees an empty or a mixed table.\n" +
			"Whatever interrupts it, the live tables are as they were, or it is done; run it again to go on.\n" +
			"What was skipped or is parked is tried. What fails again is left out, counted, and stays skipped or parked.\n" +
			"Of several projections, none is begun when one of them can't be rebuilt as it is; they are done at once, and one that\n" +
			"fails then does not keep the others from it.\n" +
			c.quote("readviews rollback") + " goes back, as long as what was there is kept.",
		Example: c.examples("readviews rebuild accounts", "readviews rebuild accounts --dry-run", "readviews rebuild accounts --verify --how=auto --keep=72h --yes"),
		Args:    c.projectionsNamed,
		RunE:    func(cmd *cobra.Command, names []string) error { return r.run(cmd, c, names) },
	}
	r.flags(command, string(readview.HowApply))
	command.Flags().BoolVar(&r.verify, "verify", false, "change nothing when rows differ although the program is the same")
	return command
}

func (c *Commands) rollback() *cobra.Command {
	r := &rebuilding{do: (*readview.Manager).Rollback, plan: (*readview.Manager).PlanRollback}
	command := &cobra.Command{
		Use:   "rollback NAME...",
		Short: "Go back to what the last rebuild has replaced, and apply what has come since",
		Long: "What was kept is brought to today's beside the live tables, and takes their place as in a rebuild. What is\n" +
			"replaced is kept in turn. Run it with the program whose content is to come back.\n" +
			"Of several projections, none is begun when there is no way back for one of them.",
		Example: c.examples("readviews rollback accounts", "readviews rollback accounts --yes --json"),
		Args:    c.projectionsNamed,
		RunE:    func(cmd *cobra.Command, names []string) error { return r.run(cmd, c, names) },
	}
	r.flags(command, "")
	command.Flags().Lookup("how").DefValue = "that of the rebuild"
	return command
}

func (r *rebuilding) run(cmd *cobra.Command, c *Commands, names []string) error {
	if r.how == "ask" && (r.asJSON || len(names) > 1 || !terminal.Is(cmd.InOrStdin())) {
		return UsageError{errors.New("--how=ask needs a terminal, one name, and no --json")}
	}
	if how := readview.How(r.how); r.how != "" && r.how != "ask" && how != readview.HowApply && how != readview.HowSwap && how != readview.HowAuto {
		return UsageError{fmt.Errorf("--how is %q, want apply, swap, auto or ask", r.how)}
	}
	if r.keep < 0 || r.patience < 0 {
		return UsageError{fmt.Errorf("--keep is %s and --patience is %s, want 0 or more", r.keep, r.patience)}
	}
	return c.open(cmd, func(s System) error {
		ctx := cmd.Context()
		if r.dryRun || len(names) > 1 {
			plans, problems := r.plans(ctx, s, names)
			if err := errors.Join(problems...); err != nil && !r.dryRun {
				return errors.Join(err, r.writeNone(cmd, names, problems))
			} else if r.dryRun {
				return errors.Join(err, r.write(cmd, names, plans, problems))
			}
		}
		if in := cmd.InOrStdin(); !r.yes && r.how != "ask" && terminal.Is(in) {
			if err := terminal.Ask(ctx, in, cmd.ErrOrStderr(), fmt.Sprintf("%s %s, while all is read and goes on?", title(cmd.Name()), strings.Join(names, ", "))); err != nil {
				return err
			}
		}
		return r.all(cmd, s, names)
	})
}

func title(command string) string { return strings.ToUpper(command[:1]) + command[1:] }

// all rebuilds the projections at once. One that fails does not keep the others from it.
func (r *rebuilding) all(cmd *cobra.Command, s System, names []string) error {
	results, problems := make([]*readview.Rebuilt, len(names)), make([]error, len(names))
	report := &rebuildReport{w: cmd.ErrOrStderr(), bar: terminal.Is(cmd.ErrOrStderr()) && len(names) == 1}
	var running sync.WaitGroup
	for i, name := range names {
		running.Go(func() {
			done, err := r.do(s.Manager, cmd.Context(), name, r.options(cmd, report))
			if problems[i] = err; err == nil {
				results[i] = &done
			}
		})
	}
	running.Wait()
	report.end()
	out := cmd.OutOrStdout()
	if r.asJSON {
		list := []any{}
		for i, done := range results {
			if done != nil {
				list = append(list, rebuiltOf(*done))
			} else {
				list = append(list, untoldJSON{names[i], problems[i].Error()})
			}
		}
		return errors.Join(append(problems, terminal.JSON(out, list))...)
	}
	for _, done := range results {
		if done != nil {
			writeRebuilt(out, *done)
		}
	}
	return errors.Join(problems...)
}

func (r *rebuilding) options(cmd *cobra.Command, report *rebuildReport) readview.RebuildOptions {
	options := readview.RebuildOptions{How: readview.How(r.how), Keep: r.keep, Patience: r.patience, Verify: r.verify, Progress: report.tell}
	if r.keep == 0 {
		options.Keep = -1 // nothing
	}
	if r.how == "ask" {
		options.How = readview.HowAuto
		options.Ask = func(ctx context.Context, plan readview.RebuildPlan) (readview.How, error) {
			report.end()
			return askHow(ctx, cmd, plan)
		}
	}
	return options
}

// askHow shows what differs and asks how to go on.
func askHow(ctx context.Context, cmd *cobra.Command, plan readview.RebuildPlan) (readview.How, error) {
	w := cmd.ErrOrStderr()
	writeChanges(w, plan.Tables)
	choices := "apply, swap, or nothing"
	if plan.SwapProblem != nil {
		choices = "apply or nothing"
		_, _ = fmt.Fprintln(w, plan.SwapProblem)
	}
	_, _ = fmt.Fprintf(w, "%s: %s? ", plan.Projection, choices)
	answer, err := bufio.NewReader(terminal.Interruptible(ctx, cmd.InOrStdin())).ReadString('\n')
	if err != nil && ctx.Err() != nil {
		return "", err
	}
	switch how := readview.How(strings.TrimSpace(answer)); how {
	case readview.HowApply, readview.HowSwap:
		return how, nil
	}
	return "", terminal.ErrDeclined
}

// plans finds out of each projection what would be done, or what is in the way.
func (r *rebuilding) plans(ctx context.Context, s System, names []string) (plans []readview.RebuildPlan, problems []error) {
	plans, problems = make([]readview.RebuildPlan, len(names)), make([]error, len(names))
	how := readview.How(r.how)
	if r.how == "ask" {
		how = readview.HowAuto
	}
	for i, name := range names {
		plans[i], problems[i] = r.plan(s.Manager, ctx, name, readview.RebuildOptions{How: how, Verify: r.verify})
	}
	return plans, problems
}

var errNothingDone = errors.New("nothing was done")

// writeNone says that none was begun, as there are problems with some.
func (r *rebuilding) writeNone(cmd *cobra.Command, names []string, problems []error) error {
	if r.asJSON {
		list := []any{}
		for i, name := range names {
			list = append(list, untoldJSON{name, cmp.Or(problems[i], errNothingDone).Error()})
		}
		return errors.Join(errNothingDone, terminal.JSON(cmd.OutOrStdout(), list))
	}
	return errNothingDone
}

// write says what would be done.
func (r *rebuilding) write(cmd *cobra.Command, names []string, plans []readview.RebuildPlan, problems []error) error {
	if r.asJSON {
		list := []any{}
		for i, name := range names {
			if problems[i] != nil {
				list = append(list, untoldJSON{name, problems[i].Error()})
			} else {
				list = append(list, planOf(plans[i]))
			}
		}
		return terminal.JSON(cmd.OutOrStdout(), list)
	}
	for i, plan := range plans {
		if problems[i] != nil {
			continue
		}
		p, events := planOf(plan), many(plan.Events, "event")
		if p.Events < 0 {
			events = "the other context's events"
		}
		beside := "beside " + strings.Join(p.Tables, ", ")
		if cmd.Name() == "rollback" {
			beside = "on what is kept of " + strings.Join(p.Tables, ", ")
		}
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s: would replay %s %s, then %s\n", p.Projection, events, beside, ways[plan.How])
		if p.SwapProblem != "" && plan.How != readview.HowApply {
			_, _ = fmt.Fprintln(cmd.OutOrStdout(), "  no swap:", p.SwapProblem)
		}
	}
	return nil
}

var ways = map[readview.How]string{
	readview.HowApply: "write the rows that differ",
	readview.HowSwap:  "put the new tables in their place",
	readview.HowAuto:  "write the rows that differ, or put the new tables in their place",
}

// planJSON, rebuiltJSON and changeJSON are what programs read.
type planJSON struct {
	Projection  string   `json:"projection"`
	Events      int64    `json:"events"` // -1 when nobody can tell
	Tables      []string `json:"tables"`
	SwapProblem string   `json:"swap_problem,omitempty"`
}

func planOf(plan readview.RebuildPlan) planJSON {
	p := planJSON{Projection: plan.Projection, Events: plan.Events}
	for _, t := range plan.Tables {
		p.Tables = append(p.Tables, t.Table)
	}
	if plan.SwapProblem != nil {
		p.SwapProblem = plan.SwapProblem.Error()
	}
	return p
}

// untoldJSON stands for a projection of which there is no result.
type untoldJSON struct {
	Projection string `json:"projection"`
	Error      string `json:"error"`
}

type rebuiltJSON struct {
	Projection string       `json:"projection"`
	How        string       `json:"how"`
	Position   int64        `json:"position"`
	Events     int64        `json:"events"`
	LeftOut    int64        `json:"left_out"` // events that failed again, and stay skipped or parked
	Seconds    float64      `json:"seconds"`
	Tables     []changeJSON `json:"tables"`
	KeptUntil  *time.Time   `json:"kept_until,omitempty"`
	Warnings   []string     `json:"warnings,omitempty"`
}

type changeJSON struct {
	Table    string `json:"table"`
	Rows     int64  `json:"rows"`
	Inserted int64  `json:"inserted"`
	Updated  int64  `json:"updated"`
	Deleted  int64  `json:"deleted"`
}

func rebuiltOf(r readview.Rebuilt) rebuiltJSON {
	j := rebuiltJSON{Projection: r.Projection, How: string(r.How), Position: int64(r.Position), Events: r.Events, LeftOut: r.LeftOut, Seconds: r.Took.Seconds(), Tables: []changeJSON{}, Warnings: r.Warnings}
	for _, t := range r.Tables {
		j.Tables = append(j.Tables, changeJSON(t))
	}
	if !r.KeptUntil.IsZero() {
		j.KeptUntil = &r.KeptUntil
	}
	return j
}

func writeRebuilt(w io.Writer, r readview.Rebuilt) {
	_, _ = fmt.Fprintf(w, "%s: %s\n", r.Projection, r)
	for _, warning := range r.Warnings {
		_, _ = fmt.Fprintln(w, "  note:", warning)
	}
	if !r.KeptUntil.IsZero() {
		_, _ = fmt.Fprintln(w, "  what was there before is kept until", r.KeptUntil.Local().Format(time.DateTime))
	}
}

func writeChanges(w io.Writer, changes []readview.TableChange) {
	_ = terminal.Table(w, "TABLE\tROWS\tLACKING\tDIFFERENT\tTOO MANY", changes, func(t readview.TableChange) string {
		return fmt.Sprintf("%s\t%d\t%d\t%d\t%d", t.Table, t.Rows, t.Inserted, t.Updated, t.Deleted)
	})
}
