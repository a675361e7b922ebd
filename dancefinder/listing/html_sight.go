package listing

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// sight is how much of an element a person sees.
type sight int

const (
	inherited sight = iota
	shown           // also within what is unseen
	unseen          // takes its place, but only what is shown in it is seen
	blank           // takes its place, and nothing in it is seen
	gone            // is not there
)

// attributes are those that matter here.
type attributes struct {
	colspan, rowspan int
	sight            sight
	open             bool
}

func readAttributes(z *html.Tokenizer) attributes {
	a := attributes{colspan: 1, rowspan: 1}
	hidden, style, displayed := inherited, inherited, false
	for more := true; more; {
		var key, value []byte
		key, value, more = z.TagAttr()
		switch string(key) {
		case "colspan":
			n, _ := strconv.Atoi(string(value))
			a.colspan = max(1, min(n, MaxColumns))
		case "rowspan":
			a.rowspan = rowspan(string(value))
		case "hidden":
			hidden = gone
			if bytes.EqualFold(value, []byte("until-found")) {
				hidden = blank
			}
		case "style":
			style, displayed = sightOfStyle(string(value))
		case "open":
			a.open = true
		}
	}
	a.sight = style
	if hidden != inherited && !displayed {
		a.sight = max(hidden, style)
	}
	return a
}

// rowspan returns for how many rows a cell goes on; 0 is to the end of the group.
func rowspan(value string) int {
	n, err := strconv.Atoi(strings.TrimSpace(value))
	switch {
	case err != nil || n < 0:
		return 1
	case n == 0:
		return 1 << 30
	}
	return min(n, 65534)
}

var (
	comment   = regexp.MustCompile(`(?s)/\*.*?\*/`)
	nothing   = regexp.MustCompile(`^0*(?:\.0*)?(?:px|em|rem|pt|%)?$`)
	offScreen = regexp.MustCompile(`^-\d{4,}(?:\.\d+)?(?:px|em|rem)$`)
)

// sightOfStyle returns what a style attribute does to its element, and whether it
// says how to display it, which counts more than that it is hidden.
func sightOfStyle(style string) (s sight, displayed bool) {
	properties := map[string]string{}
	for declaration := range strings.SplitSeq(strings.ToLower(comment.ReplaceAllString(style, "")), ";") {
		name, value, _ := strings.Cut(declaration, ":")
		value, _, _ = strings.Cut(value, "!")
		properties[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	is := func(name string, pattern *regexp.Regexp) bool {
		value, ok := properties[name]
		return ok && value != "" && pattern.MatchString(value)
	}
	clipped := properties["overflow"] == "hidden" || properties["overflow"] == "clip"
	moved := properties["position"] == "absolute" || properties["position"] == "fixed"
	displayed = properties["display"] != ""
	switch {
	case properties["display"] == "none":
		return gone, displayed
	case is("opacity", nothing), properties["content-visibility"] == "hidden",
		clipped && (is("width", nothing) || is("height", nothing) || is("max-width", nothing) || is("max-height", nothing)),
		moved && (is("left", offScreen) || is("top", offScreen) || is("right", offScreen)):
		return blank, displayed
	case properties["visibility"] == "hidden", properties["visibility"] == "collapse", is("font-size", nothing):
		return unseen, displayed
	case properties["visibility"] == "visible":
		return shown, displayed
	}
	return inherited, displayed
}

// sightOf returns what a tag with attributes does to what is in it.
func sightOf(tag atom.Atom, a attributes) sight {
	switch tag {
	case atom.Script, atom.Style, atom.Template, atom.Title, atom.Noscript, atom.Noembed, atom.Noframes, atom.Iframe,
		atom.Datalist, atom.Object, atom.Canvas, atom.Audio, atom.Video, atom.Rp:
		return gone
	case atom.Dialog:
		if !a.open {
			return gone
		}
	case atom.Html, atom.Body:
		return inherited // a script shows them
	}
	return a.sight
}
