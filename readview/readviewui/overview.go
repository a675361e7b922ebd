package readviewui

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// maxText is how long what somebody filters by may be, in bytes.
const maxText = 200

// overview is the page of all consumers.
type overview struct {
	Title    string                `json:"title"`
	At       time.Time             `json:"at,omitzero"` // of what is known
	Head     eventsourced.Position `json:"head"`
	Problem  string                `json:"problem,omitempty"` // why it is old, or lacks something
	Trouble  []trouble             `json:"trouble"`
	More     int                   `json:"more_trouble"` // that are not among Trouble
	Left     []leftover            `json:"left_to_do"`
	Old      bool                  `json:"old"` // nothing is known of now
	Rows     []row                 `json:"consumers"`
	All      int                   `json:"-"`
	Filters  []filter              `json:"-"`
	Columns  []sorting             `json:"-"`
	State    string                `json:"-"`
	Text     string                `json:"-"`
	Sort     string                `json:"-"`
	Nodes    int                   `json:"nodes"`
	Appends  int64                 `json:"appends_here"` // of this process, in the last 15 minutes
	WaitP99  time.Duration         `json:"-"`
	WaitMS   float64               `json:"lock_wait_p99_here_ms"`
	Unsorted bool                  `json:"-"`
}

// DocumentTitle names the document.
func (o *overview) DocumentTitle() string { return o.Title }

// filter is a state that rows can be filtered by.
type filter struct {
	State, Word, URL string
	Count            int
	Chosen           bool
}

// sorting is a column that rows can be sorted by.
type sorting struct{ Name, Head, URL, Aria, Class string }

// byColumn compares rows by what a column shows.
var byColumn = map[string]func(a, b row) int{
	"state":    func(a, b row) int { return slices.Index(order, a.Class) - slices.Index(order, b.Class) },
	"name":     func(a, b row) int { return cmp.Compare(a.Name, b.Name) },
	"behind":   func(a, b row) int { return cmp.Compare(a.Behind, b.Behind) },
	"lag":      func(a, b row) int { return cmp.Compare(a.Lag, b.Lag) },
	"rate":     func(a, b row) int { return cmp.Compare(rateOf(a), rateOf(b)) },
	"position": func(a, b row) int { return cmp.Compare(a.Position, b.Position) },
	"version":  func(a, b row) int { return cmp.Compare(a.Version, b.Version) },
	"node":     func(a, b row) int { return cmp.Compare(a.Node, b.Node) },
	"debt":     func(a, b row) int { return cmp.Compare(a.Parked+a.Skipped, b.Parked+b.Skipped) },
}

var columns = []sorting{
	{Name: "state", Head: "State"}, {Name: "name", Head: "Name"}, {Name: "behind", Head: "Events behind", Class: "n"}, {Name: "lag", Head: "Lag, last 15 min", Class: "n"},
	{Name: "rate", Head: "Events/s", Class: "n"}, {Name: "position", Head: "Position", Class: "n"}, {Name: "version", Head: "Version", Class: "n"},
	{Name: "node", Head: "Node"}, {Name: "debt", Head: "Debt"},
}

func (h *Handler) overview(ctx context.Context, r *http.Request) (any, error) {
	l := h.look(ctx)
	o := &overview{At: l.At, Problem: l.Says(), All: len(l.All)}
	asked := r.URL.Query()
	o.State, o.Text, o.Sort = asked.Get("state"), strings.TrimSpace(asked.Get("q")), asked.Get("sort")
	if len(o.Text) > maxText {
		o.Text = strings.ToValidUTF8(o.Text[:maxText], "")
	}
	if byColumn[strings.TrimPrefix(o.Sort, "-")] == nil {
		o.Sort = ""
	}
	counts, words, nodes := map[string]int{}, map[string]string{}, map[string]bool{}
	for _, s := range l.All {
		row := h.rowOf(l, s, false)
		counts[row.Class]++
		words[row.Class] = row.standing.Word
		if s.Node != "" {
			nodes[s.Node] = true
		}
		o.Head = max(o.Head, s.Head)
		if (o.State == "" || o.State == row.Class) && row.matches(o.Text) {
			o.Rows = append(o.Rows, row)
		}
	}
	o.Nodes = len(nodes)
	appended, _ := h.appended()
	o.Appends, o.WaitP99 = appended.Appends, appended.LockWait(0.99)
	o.WaitMS = float64(o.WaitP99.Microseconds()) / 1000
	o.sort()
	o.links(counts, words)
	if o.Old = l.Old; o.Old {
		o.Title, o.Trouble = "Not known just now", h.inTheWay(l)
		return o, nil
	}
	o.Trouble, o.More = h.troubles(ctx, l.All, false)
	inTheWay := h.inTheWay(l)
	o.Trouble = append(inTheWay, o.Trouble...)
	o.Left = leftovers(l.All)
	o.Title = h.titleOf(l.All, counts, inTheWay)
	if l.Problem != "" {
		o.Title += "; not all could be looked at"
	}
	return o, nil
}

// leftover is what somebody has to do some time, and what stands still because somebody wants it so.
type leftover struct {
	Text string `json:"text"`
	URL  string `json:"-"`
}

func leftovers(all []consumer.Status) (left []leftover) {
	for _, s := range all {
		place, _ := query("consumer", "kind", s.Kind, "name", s.Name, "topic", s.Topic)
		add := func(text string) { left = append(left, leftover{s.Name + " " + text, place}) }
		if s.State == consumer.Paused {
			add("is paused until somebody resumes it.")
		}
		if s.Parked > 0 {
			add("has parked " + plural(s.Parked, "event", "events") + ": mend the cause, then retry.")
		}
		if s.Skipped > 0 {
			add("lacks " + plural(s.Skipped, "event that was skipped.", "events that were skipped."))
		}
		if s.Verify != nil && s.Verify.Different > 0 { // that debt makes it not equal is said above
			add("was found to be other than its events make it: rebuild it.")
		}
	}
	return left
}

// sort puts the rows into the order that is asked for: the worst first, if none is.
func (o *overview) sort() {
	by := byColumn["state"]
	if o.Sort != "" {
		by = byColumn[strings.TrimPrefix(o.Sort, "-")]
	}
	slices.SortStableFunc(o.Rows, func(a, b row) int {
		if strings.HasPrefix(o.Sort, "-") {
			a, b = b, a
		}
		return by(a, b)
	})
}

// links makes those that lead to other filters and orders.
func (o *overview) links(counts map[string]int, words map[string]string) {
	at := func(state, sort string) string {
		url, _ := query(".", "state", state, "q", o.Text, "sort", sort)
		return url
	}
	o.Filters = []filter{{"", "All", at("", o.Sort), o.All, o.State == ""}}
	for _, class := range append(slices.Clone(order), "unknown") {
		if counts[class] > 0 || o.State == class {
			o.Filters = append(o.Filters, filter{class, cmp.Or(words[class], class), at(class, o.Sort), counts[class], o.State == class})
		}
	}
	for _, column := range columns {
		column.Aria, column.URL = "none", at(o.State, column.Name)
		switch o.Sort {
		case column.Name:
			column.Aria, column.URL = "ascending", at(o.State, "-"+column.Name)
		case "-" + column.Name:
			column.Aria = "descending"
		}
		o.Columns = append(o.Columns, column)
	}
}

// inTheWayTitles is what the title says of what is in the way.
var inTheWayTitles = map[string]string{appendsState: "Appends wait or fail", lockedState: "A table is locked"}

// titleOf counts what is wrong.
func (h *Handler) titleOf(all []consumer.Status, counts map[string]int, inTheWay []trouble) string {
	var wrong []string
	for _, t := range inTheWay {
		if said := inTheWayTitles[t.State]; !slices.Contains(wrong, said) {
			wrong = append(wrong, said)
		}
	}
	for _, class := range []string{"failed", "stalled", "retrying", notRunning.Class} {
		if n := counts[class]; n > 0 {
			wrong = append(wrong, fmt.Sprintf("%d %s", n, strings.ReplaceAll(class, "-", " ")))
		}
	}
	falling := 0
	for _, s := range all {
		if _, falls := h.fallsBehind(s, time.Now()); falls {
			falling++
		}
	}
	if falling > 0 {
		wrong = append(wrong, fmt.Sprintf("%d falling behind", falling))
	}
	switch {
	case len(wrong) > 0:
		return strings.Join(wrong, ", ")
	case len(all) == 0:
		return "No projections are registered."
	case counts["live"] == len(all):
		return fmt.Sprintf("All %d live", len(all))
	}
	return fmt.Sprintf("%d of %d live", counts["live"], len(all))
}
