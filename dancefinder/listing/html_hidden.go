package listing

import "golang.org/x/net/html/atom"

// hidden is what is open from an element on that a person does not see. Its end is
// found without a tree of the page: as an end tag, or where a browser would see it
// by what comes next.
type hidden struct{ open []element }

type element struct {
	tag   atom.Atom
	sight sight
}

// maxHidden is how deep elements are followed. Beyond it nothing is seen.
const maxHidden = 4 << 10

// sight returns what a person sees of what comes next.
func (h *hidden) sight() sight {
	if len(h.open) == 0 {
		return shown
	}
	return h.open[len(h.open)-1].sight
}

// root tells whether the innermost element is gone, and nothing around it.
func (h *hidden) root() bool {
	n := len(h.open)
	return n == 1 || n > 1 && h.open[n-2].sight != gone
}

// start begins an element and tells whether it is not there for a person.
func (h *hidden) start(tag atom.Atom, own sight, inCell bool) bool {
	h.endBefore(tag, inCell)
	around := h.sight()
	if len(h.open) == 0 && own <= shown {
		return false
	}
	now := own
	if around >= blank {
		now = max(around, own)
	} else if own == inherited {
		now = around
	}
	if !void[tag] && len(h.open) < maxHidden {
		h.open = append(h.open, element{tag, now})
	}
	return now == gone
}

// endBefore ends what can't go on when tag begins.
func (h *hidden) endBefore(tag atom.Atom, inCell bool) {
	ends := endedBy(tag)
	if len(h.open) == 0 || ends == nil {
		return
	}
	if rank[tag] == 0 {
		for i := len(h.open) - 1; i >= 0; i-- {
			switch t := h.open[i].tag; {
			case ends[t]:
				h.open = h.open[:i]
				return
			case rank[t] > 0, t == atom.Ul, t == atom.Ol, t == atom.Dl, t == atom.Select:
				return
			}
		}
		return
	}
	inner := 0 // from the innermost table on
	for i, e := range h.open {
		if e.tag == atom.Table {
			inner = i + 1
		}
	}
	for i := inner; i < len(h.open); i++ {
		if ends[h.open[i].tag] {
			h.open = h.open[:i]
			return
		}
	}
	if inner == 0 && inCell && rank[h.open[0].tag] == 0 {
		h.open = h.open[:0] // the cell around it ends
	}
}

// end ends an element and tells whether its tag was not there for a person.
func (h *hidden) end(tag atom.Atom, inTable bool) bool {
	if len(h.open) == 0 {
		return false
	}
	around := h.sight()
	for i := len(h.open) - 1; i >= 0; i-- {
		if h.open[i].tag == tag {
			was := h.open[i].sight
			h.open = h.open[:i]
			return was == gone
		}
		if h.open[i].tag == atom.Table {
			return around == gone
		}
	}
	root := h.open[0].tag
	if rank[tag] > rank[root] && inTable || endless[root] && rank[root] == 0 && tag != 0 && !inline(tag) {
		h.open = h.open[:0] // what is around it ends
		return false
	}
	return around == gone
}

// unfinished tells whether an element is open that a whole page closes.
func (h *hidden) unfinished() bool {
	for _, e := range h.open {
		if !endless[e.tag] {
			return true
		}
	}
	return false
}

func tags(tags ...atom.Atom) map[atom.Atom]bool {
	set := make(map[atom.Atom]bool, len(tags))
	for _, tag := range tags {
		set[tag] = true
	}
	return set
}

var (
	// void elements have nothing in them.
	void = tags(atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Hr, atom.Img, atom.Input, atom.Link,
		atom.Meta, atom.Param, atom.Source, atom.Track, atom.Wbr)

	// endless elements need no end tag.
	endless = tags(atom.P, atom.Li, atom.Dt, atom.Dd, atom.Option, atom.Optgroup, atom.Rp, atom.Rt,
		atom.Td, atom.Th, atom.Tr, atom.Thead, atom.Tbody, atom.Tfoot, atom.Caption, atom.Colgroup)

	// rank orders the parts of a table; 0 is for what is none.
	rank = map[atom.Atom]int{
		atom.Td: 1, atom.Th: 1, atom.Caption: 1, atom.Tr: 2,
		atom.Thead: 3, atom.Tbody: 3, atom.Tfoot: 3, atom.Colgroup: 3, atom.Table: 4,
	}

	cells  = tags(atom.Td, atom.Th)
	rows   = tags(atom.Td, atom.Th, atom.Tr)
	groups = tags(atom.Td, atom.Th, atom.Tr, atom.Thead, atom.Tbody, atom.Tfoot, atom.Caption, atom.Colgroup)
	items  = tags(atom.Li)
	terms  = tags(atom.Dt, atom.Dd)
	option = tags(atom.Option, atom.Optgroup)
	prose  = tags(atom.P)
)

// endedBy returns which open elements a tag ends by beginning.
func endedBy(tag atom.Atom) map[atom.Atom]bool {
	switch tag {
	case atom.Td, atom.Th:
		return cells
	case atom.Tr:
		return rows
	case atom.Thead, atom.Tbody, atom.Tfoot, atom.Caption, atom.Colgroup:
		return groups
	case atom.Li:
		return items
	case atom.Dt, atom.Dd:
		return terms
	case atom.Option, atom.Optgroup:
		return option
	case atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Details, atom.Div, atom.Dl, atom.Fieldset,
		atom.Figure, atom.Footer, atom.Form, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Header,
		atom.Hr, atom.Main, atom.Nav, atom.Ol, atom.P, atom.Pre, atom.Section, atom.Ul:
		return prose
	}
	return nil
}
