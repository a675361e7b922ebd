package plainjson

import "unicode/utf8"

// input is where a decoder is in a text.
type input struct {
	text []byte
	at   int
}

func (in *input) space() {
	for in.at < len(in.text) {
		switch in.text[in.at] {
		case ' ', '\t', '\n', '\r':
			in.at++
		default:
			return
		}
	}
}

// next returns the byte that comes after white space, and does not pass it; 0 at the end.
func (in *input) next() byte {
	in.space()
	if in.at == len(in.text) {
		return 0
	}
	return in.text[in.at]
}

// take passes a byte, after white space, if it is the one that is wanted.
func (in *input) take(want byte) bool {
	if in.next() != want {
		return false
	}
	in.at++
	return true
}

// word passes a word, after white space, if that comes.
func (in *input) word(want string) bool {
	in.space()
	if len(in.text)-in.at < len(want) || string(in.text[in.at:in.at+len(want)]) != want {
		return false
	}
	in.at += len(want)
	return true
}

// raw passes a string, and returns what is between its quotes, and whether an escape is in it.
func (in *input) raw() (found []byte, escaped, ok bool) {
	if !in.take('"') {
		return nil, false, false
	}
	from, ascii := in.at, true
	for ; in.at < len(in.text); in.at++ {
		switch c := in.text[in.at]; {
		case c == '"':
			found = in.text[from:in.at]
			in.at++
			return found, escaped, ascii || utf8.Valid(found)
		case c == '\\':
			escaped = true
			in.at++ // over what is escaped, which may be a quote
		case c < ' ':
			return nil, false, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, false, false
}

// unescape returns a string without its escapes, if it has only those of one letter.
func unescape(raw []byte) (string, bool) {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '\\' {
			i++
			switch raw[i] {
			case '"', '\\', '/':
				c = raw[i]
			case 'b':
				c = '\b'
			case 'f':
				c = '\f'
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			default:
				return "", false
			}
		}
		out = append(out, c)
	}
	return string(out), true
}

// literal passes a number, and returns it and whether it is a whole one; nil if none comes.
func (in *input) literal() (found []byte, whole bool) {
	in.space()
	from := in.at
	digits := func() bool {
		before := in.at
		for in.at < len(in.text) && in.text[in.at] >= '0' && in.text[in.at] <= '9' {
			in.at++
		}
		return in.at > before
	}
	is := func(wanted ...byte) bool {
		for _, want := range wanted {
			if in.at < len(in.text) && in.text[in.at] == want {
				in.at++
				return true
			}
		}
		return false
	}
	is('-')
	if !is('0') && !digits() {
		return nil, false
	}
	whole = true
	if is('.') {
		if whole = false; !digits() {
			return nil, false
		}
	}
	if is('e', 'E') {
		whole = false
		is('+', '-')
		if !digits() {
			return nil, false
		}
	}
	return in.text[from:in.at], whole
}
