package plainjson

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
)

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	number          = reflect.TypeFor[json.Number]()
)

// maxFields is how many fields a struct may have: those that were seen are bits.
const maxFields = 64

// decode sets a value, which is its type's zero value, to what comes next, and tells whether it could.
type decode func(in *input, to reflect.Value) bool

var decoders sync.Map // of pointers to structs; a nil decode for those that are not plain

// decoderOf returns the decoder of a type, nil if it is not plain.
func decoderOf(t reflect.Type) decode {
	if found, ok := decoders.Load(t); ok {
		return found.(decode)
	}
	var made decode
	if t.Kind() == reflect.Struct {
		made = plain(t, map[reflect.Type]bool{})
	}
	decoders.Store(t, made)
	return made
}

// plain makes the decoder of a type within others, nil if it is not plain.
func plain(t reflect.Type, within map[reflect.Type]bool) decode {
	if within[t] || t == number || reflect.PointerTo(t).Implements(jsonUnmarshaler) || reflect.PointerTo(t).Implements(textUnmarshaler) {
		return nil
	}
	within[t] = true
	defer delete(within, t)
	switch t.Kind() {
	case reflect.String:
		return text
	case reflect.Bool:
		return boolean
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return signed
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return unsigned
	case reflect.Float32, reflect.Float64:
		return float
	case reflect.Pointer:
		if element := plain(t.Elem(), within); element != nil {
			return pointer(t.Elem(), element)
		}
	case reflect.Slice:
		if element := plain(t.Elem(), within); element != nil && t.Elem().Kind() != reflect.Uint8 {
			return slice(element)
		}
	case reflect.Struct:
		if fields := fieldsOf(t, within); fields != nil {
			return object(fields)
		}
	}
	return nil
}

type field struct {
	name   string
	index  int
	decode decode
}

// fieldsOf returns the fields of a struct, nil if not all are plain.
func fieldsOf(t reflect.Type, within map[reflect.Type]bool) []field {
	fields, names := []field{}, map[string]bool{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Tag.Get("json") == "-", f.Anonymous && name == "" && empty(f.Type):
			continue
		case f.Anonymous:
			return nil
		case !f.IsExported():
			continue
		}
		if name == "" {
			name = f.Name
		}
		decode := plain(f.Type, within)
		if decode == nil || names[name] || !plainName(name) || strings.Contains(options, "string") || len(fields) == maxFields {
			return nil
		}
		names[name] = true
		fields = append(fields, field{name, i, decode})
	}
	return fields
}

// empty tells that no field of an embedded struct is in the JSON.
func empty(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("json") != "-" && (f.Anonymous || f.IsExported()) {
			return false
		}
	}
	return true
}

// plainName tells that a name is one of letters, digits and underscores, which every tag may have.
func plainName(name string) bool {
	return strings.IndexFunc(name, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}
