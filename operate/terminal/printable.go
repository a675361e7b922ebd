package terminal

import (
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text returns a text as a terminal may have it, whoever has written it: with what would move the cursor, clear the screen or turn the
// direction of writing shown as in a string of Go, such as \x1b. Ends of lines and tabs stay.
func Text(text string) string {
	if !strings.ContainsFunc(text, acts) && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if acts(r) || r == utf8.RuneError && size == 1 {
			quoted := strconv.Quote(text[:size])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(text[:size])
		}
		text = text[size:]
	}
	return b.String()
}

// acts tells whether a terminal does something at a character instead of showing it.
func acts(r rune) bool {
	return r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Bidi_Control)
}

// printable writes a [Text].
type printable struct{ io.Writer }

// Printable returns a writer for people, which writes a [Text] of what is written to it. What is known to be for a terminal, such as a bar that shows
// progress, and [JSON] go past it.
func Printable(w io.Writer) io.Writer { return printable{Raw(w)} }

// Raw returns the writer below one of [Printable], or w itself.
func Raw(w io.Writer) io.Writer {
	if p, ok := w.(printable); ok {
		return p.Writer
	}
	return w
}

// Write implements [io.Writer].
func (p printable) Write(b []byte) (int, error) {
	if _, err := io.WriteString(p.Writer, Text(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}
