package readviewui

import (
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// functions are those that templates call.
func (h *Handler) functions() template.FuncMap {
	return template.FuncMap{
		"asset": h.assetURL, "num": num[int64], "dur": dur, "clock": h.clock, "day": h.day, "moment": h.moment, "rate": rate, "nextAway": func() string { return nextAway }, "since": func(t time.Time) string { return dur(time.Since(t)) },
		"query": query, "short": short, "dict": dict, "plural": plural,
		"pos":   func(p any) string { return num(toInt(p)) },
		"exact": func(t time.Time) string { return t.In(h.config.Location).Format("15:04:05.000") }, "bytes": byteSize,
		"iso": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}
}

func toInt(v any) int64 {
	n, _ := strconv.ParseInt(fmt.Sprintf("%d", v), 10, 64)
	return n
}

// num writes a number in groups of three.
func num[N ~int64 | ~int](n N) string {
	text := strconv.FormatInt(int64(n), 10)
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "−", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return sign + text
}

// dur writes a duration as it is said.
func dur(d time.Duration) string {
	switch d = max(d, 0); {
	case d == 0:
		return "0 s"
	case d < time.Millisecond:
		return "<1 ms"
	case d < 50*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", math.Max(0.1, d.Seconds()))
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// rate writes how many there are in a second.
func rate(r float64) string {
	if r > 0 && r < 1 {
		return "<1"
	}
	return num(int64(math.Round(r)))
}

func (h *Handler) clock(t time.Time) string { return t.In(h.config.Location).Format("15:04:05") }

func (h *Handler) day(t time.Time) string { return t.In(h.config.Location).Format("2 Jan 2006") }

// moment is when something was: today's by the clock, else with the day.
func (h *Handler) moment(t time.Time) string {
	if h.day(t) == h.day(time.Now()) {
		return h.clock(t)
	}
	return t.In(h.config.Location).Format("2 Jan 15:04")
}

// short is an id that is too long to be read.
func short(id string) string {
	if len(id) <= 14 {
		return id
	}
	runes := []rune(id)
	return string(runes[:4]) + "…" + string(runes[len(runes)-3:])
}

// query returns a path with parameters, name by name; those that are empty are left out.
func query(path string, pairs ...any) (string, error) {
	if len(pairs)%2 != 0 {
		return "", fmt.Errorf("query %s: a name without a value", path)
	}
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if value := fmt.Sprint(pairs[i+1]); value != "" {
			values.Set(fmt.Sprint(pairs[i]), value)
		}
	}
	if len(values) == 0 {
		return path, nil
	}
	return path + "?" + values.Encode(), nil
}

// dict makes what a part of a template gets of several values.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: a name without a value")
	}
	all := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		all[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return all, nil
}

// plural is a number with its noun.
func plural(n any, one, many string) string {
	count := toInt(n)
	if count == 1 {
		return "1 " + one
	}
	return num(count) + " " + many
}

// byteSize writes how much is stored.
func byteSize(n int64) string {
	if n < 1024 {
		return fmt.Sprint(n, " B")
	}
	size, unit := float64(n)/1024, 0
	for size >= 1000 && unit < 3 {
		size, unit = size/1024, unit+1
	}
	return fmt.Sprintf("%.3g %s", size, []string{"kB", "MB", "GB", "TB"}[unit])
}
