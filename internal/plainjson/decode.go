package plainjson

import (
	"reflect"
	"strconv"
	"unicode/utf8"
)

// Decode sets what to points to, a new struct, to a JSON value, and tells whether it could: the value and the type are
// plain. Otherwise the struct may have been set in part. It may be called concurrently, and keeps nothing of the text.
func Decode(value []byte, to any) bool {
	pointer := reflect.ValueOf(to)
	if pointer.Kind() != reflect.Pointer || pointer.IsNil() {
		return false
	}
	decode := decoderOf(pointer.Type().Elem())
	if decode == nil {
		return false
	}
	in := &input{text: value}
	if !decode(in, pointer.Elem()) {
		return false
	}
	in.space()
	return in.at == len(in.text)
}

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

func text(in *input, to reflect.Value) bool {
	if in.next() == 'n' {
		return in.word("null")
	}
	raw, escaped, ok := in.raw()
	value := string(raw)
	if ok && escaped {
		value, ok = unescape(raw)
	}
	to.SetString(value)
	return ok
}

func boolean(in *input, to reflect.Value) bool {
	switch in.next() {
	case 'n':
		return in.word("null")
	case 't':
		to.SetBool(true)
		return in.word("true")
	default:
		return in.word("false")
	}
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

func signed(in *input, to reflect.Value) bool {
	if in.next() == 'n' {
		return in.word("null")
	}
	found, whole := in.literal()
	value, err := strconv.ParseInt(string(found), 10, 64)
	if !whole || err != nil || to.OverflowInt(value) {
		return false
	}
	to.SetInt(value)
	return true
}

func unsigned(in *input, to reflect.Value) bool {
	if in.next() == 'n' {
		return in.word("null")
	}
	found, whole := in.literal()
	value, err := strconv.ParseUint(string(found), 10, 64)
	if !whole || err != nil || to.OverflowUint(value) {
		return false
	}
	to.SetUint(value)
	return true
}

func float(in *input, to reflect.Value) bool {
	if in.next() == 'n' {
		return in.word("null")
	}
	found, _ := in.literal()
	value, err := strconv.ParseFloat(string(found), to.Type().Bits())
	if err != nil || to.OverflowFloat(value) {
		return false
	}
	to.SetFloat(value)
	return true
}

func pointer(t reflect.Type, element decode) decode {
	return func(in *input, to reflect.Value) bool {
		if in.next() == 'n' {
			return in.word("null")
		}
		value := reflect.New(t)
		to.Set(value)
		return element(in, value.Elem())
	}
}

func slice(element decode) decode {
	return func(in *input, to reflect.Value) bool {
		if in.next() == 'n' {
			return in.word("null")
		}
		if !in.take('[') {
			return false
		}
		to.Set(reflect.MakeSlice(to.Type(), 0, 0))
		if in.take(']') {
			return true
		}
		for n := 0; ; n++ {
			to.Grow(1)
			to.SetLen(n + 1)
			if !element(in, to.Index(n)) {
				return false
			}
			if in.take(']') {
				return true
			}
			if !in.take(',') {
				return false
			}
		}
	}
}

func object(fields []field) decode {
	return func(in *input, to reflect.Value) bool {
		if in.next() == 'n' {
			return in.word("null")
		}
		if !in.take('{') {
			return false
		}
		if in.take('}') {
			return true
		}
		seen := uint64(0)
		for expected := 0; ; expected++ { // the fields mostly come in their order
			name, escaped, ok := in.raw()
			if !ok || escaped || !in.take(':') {
				return false
			}
			i := find(fields, expected, name)
			if i < 0 || seen&(1<<i) != 0 {
				return false
			}
			seen |= 1 << i
			expected = i
			if !fields[i].decode(in, to.Field(fields[i].index)) {
				return false
			}
			if in.take('}') {
				return true
			}
			if !in.take(',') {
				return false
			}
		}
	}
}

// find returns the field with a name, -1 if there is none.
func find(fields []field, expected int, name []byte) int {
	if expected < len(fields) && fields[expected].name == string(name) {
		return expected
	}
	for i := range fields {
		if fields[i].name == string(name) {
			return i
		}
	}
	return -1
}
