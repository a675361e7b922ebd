package listing

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// commentEnd is at the end of a whole comment, or of what counts as one.
var commentEnd = regexp.MustCompile(`(?s)^(?:<!--.*--!?|<!---?|<(?:[^!]|!-?[^-]).*|<!)>$`)

// readHTML yields the rows of all tables of a page, and its headings. It goes
// from tag to tag and never builds a tree, since a tree takes memory for the
// whole page. So it knows the few rules it needs: a cell, row or table also
// ends where the next one begins or the surrounding one ends.
func readHTML(in io.Reader, yield func(record, error) bool) {
	page := page{line: 1}
	z := html.NewTokenizer(in)
	z.SetMaxBuf(MaxToken)
	for {
		token := z.Next()
		page.records = page.records[:0]
		page.cut = page.cut && token == html.ErrorToken
		switch token {
		case html.ErrorToken:
			if !errors.Is(z.Err(), io.EOF) {
				yield(record{}, fmt.Errorf("line %d: %w", page.line, tooLong(z.Err())))
				return
			}
			if page.unfinished() || len(z.Raw()) > 0 {
				yield(record{}, fmt.Errorf("line %d: %w", page.line, ErrTruncated))
			}
			return
		case html.TextToken:
			page.text(z.Text())
			page.cut = bytes.HasSuffix(bytes.TrimSuffix(z.Raw(), []byte("/")), []byte("<"))
		case html.CommentToken:
			page.cut = !commentEnd.Match(z.Raw())
		case html.StartTagToken, html.SelfClosingTagToken:
			page.start(z)
		case html.EndTagToken:
			name, _ := z.TagName()
			page.end(atom.Lookup(name))
		}
		page.line += bytes.Count(z.Raw(), []byte("\n"))

		for _, rec := range page.records {
			if !yield(rec, nil) {
				return
			}
		}
		if len(page.tables) > MaxNesting {
			yield(record{}, fmt.Errorf("line %d: tables in tables: %w", page.line, ErrTooLong))
			return
		}
	}
}

func tooLong(err error) error {
	if errors.Is(err, html.ErrBufferExceeded) {
		return fmt.Errorf("tag or text of more than %d bytes: %w", MaxToken, ErrTooLong)
	}
	return err
}

// page is where in a page of HTML the reader is.
type page struct {
	line    int
	hidden  hidden    // what a person does not see, if that is open
	raw     atom.Atom // the element whose text has no tags, such as a textarea; 0 if none is open
	cut     bool      // the last token is a comment without its end, or a text that ends as a tag begins
	heading *buffer   // of the open heading or caption, if any
	tables  []table   // the open tables, each within the one before
	records []record
}

// unfinished tells whether something is open that a whole page closes: what came
// after it may be missing. Rows, cells and the page itself need no end.
func (p *page) unfinished() bool {
	return len(p.tables) > 0 || p.heading != nil || p.raw != 0 || p.cut || p.hidden.unfinished()
}

// buffer holds a text up to what makes it too long.
type buffer struct{ text []byte }

func (b *buffer) add(text []byte) {
	if b != nil {
		b.text = append(b.text, text[:min(len(text), MaxCell+1-len(b.text))]...)
	}
}

// text adds to everything that is open: a cell also has the text of a table
// within it.
func (p *page) text(text []byte) {
	if p.hidden.sight() != shown {
		return
	}
	p.heading.add(text)
	for i := range p.tables {
		p.tables[i].cell.add(text)
	}
}

func (p *page) start(z *html.Tokenizer) {
	name, hasAttributes := z.TagName()
	tag := atom.Lookup(name)
	attributes := attributes{colspan: 1, rowspan: 1}
	if hasAttributes {
		attributes = readAttributes(z)
	}
	if p.hidden.start(tag, sightOf(tag, attributes), p.inCell()) {
		p.before(tag)
		return
	}
	if !inline(tag) {
		p.text([]byte(" "))
	}
	switch tag {
	case atom.Textarea, atom.Xmp:
		p.raw = tag
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Caption:
		p.heading = &buffer{}
	case atom.Table:
		if t := p.table(); t != nil {
			t.outer = true
		}
		p.tables = append(p.tables, table{})
	case atom.Tr:
		p.closeRow()
		p.openRow()
	case atom.Thead, atom.Tbody, atom.Tfoot:
		p.closeGroup()
	case atom.Td, atom.Th:
		p.closeCell()
		p.openRow()
		if t := p.table(); t != nil {
			t.cell, t.cols, t.rows = &buffer{}, attributes.colspan, attributes.rowspan
		}
	}
}

// before ends what a hidden tag ends, although it begins nothing.
func (p *page) before(tag atom.Atom) {
	if !p.hidden.root() {
		return
	}
	switch tag {
	case atom.Td, atom.Th:
		p.closeCell()
	case atom.Tr:
		p.closeRow()
	case atom.Thead, atom.Tbody, atom.Tfoot:
		p.closeGroup()
	}
}

func (p *page) end(tag atom.Atom) {
	if p.hidden.end(tag, len(p.tables) > 0) {
		return
	}
	if !inline(tag) {
		p.text([]byte(" "))
	}
	switch tag {
	case p.raw:
		p.raw = 0
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Caption:
		if p.heading != nil {
			p.emit(record{kind: heading, line: p.line, cells: []string{string(p.heading.text)}})
			p.heading = nil
		}
	case atom.Td, atom.Th:
		p.closeCell()
	case atom.Tr:
		p.closeRow()
	case atom.Thead, atom.Tbody, atom.Tfoot:
		p.closeGroup()
	case atom.Table:
		p.closeTables(max(len(p.tables)-1, 0))
	}
}

func (p *page) emit(rec record) {
	rec.err = cleanCells(rec.cells)
	p.records = append(p.records, rec)
}

// inline tells whether a tag may stand within a word.
func inline(tag atom.Atom) bool {
	switch tag {
	case atom.A, atom.Abbr, atom.B, atom.Big, atom.Em, atom.Font, atom.I, atom.Mark, atom.S,
		atom.Small, atom.Span, atom.Strong, atom.Sub, atom.Sup, atom.U, atom.Wbr:
		return true
	}
	return false
}
