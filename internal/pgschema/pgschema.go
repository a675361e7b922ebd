// Package pgschema names a component's tables by the schema that its configuration gives.
package pgschema

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// Schema is a component's. The empty one leaves names to the connection's search path.
type Schema string

// maxName is how long a name is that the server does not cut, in bytes.
const maxName = 63

// Validate tells whether s can be the name of a schema. The error follows the name of a field.
func (s Schema) Validate() error {
	if len(s) > maxName || !utf8.ValidString(string(s)) || strings.ContainsRune(string(s), 0) {
		return fmt.Errorf("is no name of a schema, which has at most %d bytes of UTF-8", maxName)
	}
	return nil
}

// Table returns the name of a component's table as SQL.
func (s Schema) Table(name string) string {
	if s == "" {
		return name
	}
	return pgx.Identifier{string(s), name}.Sanitize()
}

// SQL fills in the tables of a statement that is written with their names in braces, as in
// "SELECT version FROM {events}". Do it once, not for each call.
func (s Schema) SQL(statement string) string {
	return placeholder.ReplaceAllStringFunc(statement, func(name string) string { return s.Table(name[1 : len(name)-1]) })
}

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)
