package readviewui

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// withVisibleControls returns a page, or its JSON, in which the characters that turn the direction of writing are shown as \u202e, as command lines
// show them: whoever has written an error or a payload does not decide how what stands after it is read. In JSON that means the same. What a form sends
// back stays as it is.
func withVisibleControls(page []byte) []byte {
	turns := func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }
	if bytes.IndexFunc(page, turns) < 0 {
		return page
	}
	shown := make([]byte, 0, len(page)+1024)
	sent := false // in the tag of an input or an option; html/template has no < or > in attributes
	for len(page) > 0 {
		r, size := utf8.DecodeRune(page)
		switch {
		case r == '<':
			sent = bytes.HasPrefix(page, []byte("<input")) || bytes.HasPrefix(page, []byte("<option"))
		case r == '>':
			sent = false
		}
		if turns(r) && !sent {
			shown = fmt.Appendf(shown, `\u%04x`, r)
		} else {
			shown = append(shown, page[:size]...)
		}
		page = page[size:]
	}
	return shown
}
