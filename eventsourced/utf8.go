package eventsourced

import (
	"bytes"
	"encoding"
	"reflect"
	"unicode/utf8"
)

// validUTF8 tells whether an event's text has come into its payload as it was. Of a string
// that is not UTF-8 JSON writes a replacement, escaped; only where there is one the event is
// looked at.
func validUTF8(event Event, payload []byte) bool {
	if !utf8.Valid(payload) {
		return false // of a type that encodes itself
	}
	if !bytes.Contains(payload, []byte(`\ufffd`)) {
		return true
	}
	seen := seenPointers{}
	return seen.validUTF8(reflect.ValueOf(event))
}

// seenPointers are those that were looked at: what is not encoded may be a circle.
type seenPointers map[any]bool

func (s seenPointers) validUTF8(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map:
		this := [2]any{v.Type(), v.Pointer()}
		if s[this] || v.IsNil() {
			return true
		}
		s[this] = true
	}
	if v.IsValid() && v.CanInterface() {
		if marshaler, ok := v.Interface().(encoding.TextMarshaler); ok {
			if text, err := marshaler.MarshalText(); err == nil {
				return utf8.Valid(text)
			}
		}
	}
	switch v.Kind() {
	case reflect.String:
		return utf8.ValidString(v.String())
	case reflect.Pointer, reflect.Interface:
		return v.IsNil() || s.validUTF8(v.Elem())
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return true // base64, or numbers
		}
		for i := range v.Len() {
			if !s.validUTF8(v.Index(i)) {
				return false
			}
		}
	case reflect.Map:
		for entry := v.MapRange(); entry.Next(); {
			if !s.validUTF8(entry.Key()) || !s.validUTF8(entry.Value()) {
				return false
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" && !s.validUTF8(v.Field(i)) {
				return false
			}
		}
	}
	return true
}
