package eventsourced

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

var (
	jsonMarshaler   = reflect.TypeFor[json.Marshaler]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	baseEvent       = reflect.TypeFor[BaseEvent]()
)

// lossless looks for what of an event type would not come back from its JSON.
type lossless struct {
	problems []error
	seen     map[seenType]bool // the types around the one that is looked at: some refer to themselves
}

type seenType struct {
	goType      reflect.Type
	addressable bool
}

// losses returns what is wrong with an event type, given as a pointer.
func losses(goType reflect.Type) []error {
	l := &lossless{seen: map[seenType]bool{}}
	event := goType.Elem()
	if event.Kind() != reflect.Struct {
		return []error{fmt.Errorf("%s is no struct", event)}
	}
	if !l.encodesItself(event, event.Name(), true) {
		l.object(event, event.Name(), true, true)
	}
	return l.problems
}

func (l *lossless) report(path string, format string, args ...any) {
	l.problems = append(l.problems, fmt.Errorf("%s "+format, append([]any{path}, args...)...))
}

// check looks at a value of a type. One that is not addressable, as in a map, is
// encoded without the methods of its pointer.
func (l *lossless) check(t reflect.Type, path string, addressable bool) {
	this := seenType{t, addressable}
	if l.seen[this] {
		return
	}
	l.seen[this] = true
	defer delete(l.seen, this)
	if l.encodesItself(t, path, addressable) {
		return
	}
	switch t.Kind() {
	case reflect.Interface:
		if t.NumMethod() > 0 {
			l.report(path, "is of the interface type %s: what it holds can't be made again", t)
		}
	case reflect.Func, reflect.Chan, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		l.report(path, "is of type %s, which JSON does not have", t)
	case reflect.Pointer:
		l.check(t.Elem(), path, true)
	case reflect.Slice:
		l.check(t.Elem(), path+"[]", true)
	case reflect.Array:
		l.check(t.Elem(), path+"[]", addressable)
	case reflect.Map:
		l.key(t.Key(), path)
		l.check(t.Elem(), path+"[]", false)
	case reflect.Struct:
		l.object(t, path, false, addressable)
	}
}

// encodesItself tells whether a type has its own encoding, or half of one.
func (l *lossless) encodesItself(t reflect.Type, path string, addressable bool) bool {
	if t.Kind() == reflect.Interface {
		return false
	}
	for _, pair := range []struct{ out, in reflect.Type }{{jsonMarshaler, jsonUnmarshaler}, {textMarshaler, textUnmarshaler}} {
		pointer := reflect.PointerTo(t)
		out := t.Implements(pair.out) || addressable && pointer.Implements(pair.out)
		in := t.Implements(pair.in) || pointer.Implements(pair.in)
		if t.Kind() == reflect.Pointer { // the methods of what it points to
			return false
		}
		switch {
		case out && in:
			l.promoted(t, path, pair.out)
			return true
		case out:
			l.report(path, "is of type %s, which has %s and not %s", t, pair.out.Method(0).Name, pair.in.Method(0).Name)
			return true
		case in && pointer.Implements(pair.out):
			l.report(path, "is of type %s in a map, where only %s has a %s", t, pointer, pair.out.Method(0).Name)
			return true
		case in:
			l.report(path, "is of type %s, which has %s and not %s", t, pair.in.Method(0).Name, pair.out.Method(0).Name)
			return true
		}
	}
	return false
}

// promoted reports a struct whose encoding is that of an embedded field, so that the
// others are lost, or may be.
func (l *lossless) promoted(t reflect.Type, path string, method reflect.Type) {
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Anonymous && field.Type != baseEvent && t.NumField() > 1 &&
			(field.Type.Implements(method) || reflect.PointerTo(field.Type).Implements(method)) {
			l.report(path, "embeds %s, whose %s is that of the whole", field.Type, method.Method(0).Name)
		}
	}
}

func (l *lossless) key(t reflect.Type, path string) {
	out, in := t.Implements(textMarshaler), reflect.PointerTo(t).Implements(textUnmarshaler)
	switch t.Kind() {
	case reflect.String: // it is written as it is, but read by UnmarshalText
		if !out && !in {
			return
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if out == in {
			return
		}
	default:
		if out && in && t.Kind() != reflect.Interface {
			return
		}
	}
	l.report(path, "has keys of type %s, which JSON can't give back", t)
}

// object looks at the fields of a struct. The fields of embedded structs are its own,
// and a name that several have is that of none, or of one.
func (l *lossless) object(t reflect.Type, path string, isEvent, addressable bool) {
	l.fields(t, path, embedding{isEvent: isEvent, addressable: addressable}, map[string]string{})
}

// embedding says where the fields of a struct are.
type embedding struct {
	isEvent     bool // in an event itself
	byPointer   bool // in a struct that is embedded as a pointer
	addressable bool
}

func (l *lossless) fields(t reflect.Type, path string, in embedding, names map[string]string) {
	for i := range t.NumField() {
		field := t.Field(i)
		at := path + "." + field.Name
		tag := field.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		embedded := field.Type
		if field.Anonymous && embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		switch {
		case embedded == baseEvent && field.Anonymous:
			l.base(field, at, in)
		case tag == "-":
			l.report(at, `has the tag json:"-": it is lost`)
		case field.Anonymous && name == "" && embedded.Kind() == reflect.Struct:
			if !field.IsExported() && field.Type.Kind() == reflect.Pointer {
				l.report(at, "is an embedded pointer to an unexported type: it can't be set")
				continue
			}
			within := in
			if field.Type.Kind() == reflect.Pointer {
				within.byPointer, within.addressable = true, true
			}
			if this := (seenType{field.Type, in.isEvent}); !l.seen[this] { // or it embeds itself
				l.seen[this] = true
				l.fields(embedded, at, within, names)
				delete(l.seen, this)
			}
		case !field.IsExported():
			l.report(at, "is not exported: it is lost")
		default:
			if name == "" {
				name = field.Name
			}
			if other, twice := names[name]; twice {
				l.report(at, "has the JSON name %q, as %s has", name, other)
			}
			names[name] = at
			l.check(field.Type, at, in.addressable)
		}
	}
}

// base looks at where BaseEvent is. It is restored in the event itself only.
func (l *lossless) base(field reflect.StructField, path string, in embedding) {
	switch {
	case !in.isEvent:
		l.report(path, "is the base of an event in another one: its id and time are lost")
	case field.Type.Kind() == reflect.Pointer:
		l.report(path, "is a pointer: embed BaseEvent itself")
	case in.byPointer:
		l.report(path, "is in an embedded pointer, which is nil in a new event: embed the struct itself")
	}
}
