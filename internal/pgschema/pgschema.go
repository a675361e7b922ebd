// Package pgschema names a component's tables by the schema that its configuration gives.
package pgschema

import (
	"regexp"

	"github.com/jackc/pgx/v5"
)

// Schema is a component's. The empty one leaves names to the connection's search path.
type Schema string

// Table returns a table's name as SQL.
func (s Schema) Table(name string) string {
	if s == "" {
		return pgx.Identifier{name}.Sanitize()
	}
	return pgx.Identifier{string(s), name}.Sanitize()
}

// SQL fills in the tables of a statement that is written with their names in braces, as in
// "SELECT version FROM {events}". Do it once, not for each call.
func (s Schema) SQL(statement string) string {
	return placeholder.ReplaceAllStringFunc(statement, func(name string) string { return s.Table(name[1 : len(name)-1]) })
}

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)
