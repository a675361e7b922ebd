package query

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// A cursor is the order that it belongs to and the key of an item in it, opaque to
// whoever gets it. It is not signed: with one of their own making nobody sees what
// the question would not have shown anyway.
func cursor(order string, key any) string {
	text, err := json.Marshal(key)
	if err != nil {
		panic("query: " + err.Error()) // keys are of our own types
	}
	return base64.RawURLEncoding.EncodeToString([]byte(order + " " + string(text)))
}

// maxCursor is the limit of a cursor, in bytes: names are up to 200 characters.
const maxCursor = 4096

func parseCursor[K interface{ valid() bool }](order, text string) (key K, err error) {
	bad := invalid("after", "is not a cursor of this list in this order")
	if len(text) > maxCursor {
		return key, bad
	}
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || !storable(string(decoded)) {
		return key, bad
	}
	rest, found := strings.CutPrefix(string(decoded), order+" ")
	if !found || json.Unmarshal([]byte(rest), &key) != nil || !key.valid() {
		return key, bad
	}
	return key, nil
}

func checkFirst(first int) error {
	if first < 1 || first > MaxFirst {
		return invalid("first", "%d is not between 1 and %d", first, MaxFirst)
	}
	return nil
}

// cut takes off what was asked for beyond the first items, to know whether there is
// more, and makes the cursors.
func (p Page[T]) cut(first int, cursorFunc func(T) string) Page[T] {
	if len(p.Items) > first {
		p.Items, p.More = p.Items[:first], true
	}
	for _, item := range p.Items {
		p.Cursors = append(p.Cursors, cursorFunc(item))
	}
	return p
}
