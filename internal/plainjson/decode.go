package plainjson

import (
	"reflect"
	"strconv"
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
