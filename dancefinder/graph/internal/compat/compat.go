// Package compat compares two versions of a GraphQL schema from the view of a client
// that was written for the older one.
package compat

import (
	"fmt"
	"maps"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
)

// Breaking returns what would break clients of the old schema, in order; none when
// every request that the old one answers is still answered in the same form.
func Breaking(old, current *ast.Schema) []string {
	c := &comparison{}
	for _, name := range slices.Sorted(maps.Keys(old.Types)) {
		was, is := old.Types[name], current.Types[name]
		switch {
		case was.BuiltIn:
		case is == nil:
			c.add("the type %s was removed", name)
		case is.Kind != was.Kind:
			c.add("the type %s was of kind %s, and is of kind %s", name, was.Kind, is.Kind)
		default:
			c.definition(was, is)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old.Directives)) {
		if current.Directives[name] == nil {
			c.add("the directive @%s was removed", name)
		}
	}
	return c.found
}

type comparison struct{ found []string }

func (c *comparison) add(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

func (c *comparison) definition(was, is *ast.Definition) {
	for _, value := range was.EnumValues {
		if is.EnumValues.ForName(value.Name) == nil {
			c.add("the value %s of the enum %s was removed", value.Name, was.Name)
		}
	}
	for _, name := range was.Interfaces {
		if !slices.Contains(is.Interfaces, name) {
			c.add("the type %s does not implement %s any more", was.Name, name)
		}
	}
	for _, name := range was.Types {
		if !slices.Contains(is.Types, name) {
			c.add("the union %s does not have %s any more", was.Name, name)
		}
	}
	if was.Kind == ast.InputObject {
		c.inputs("the input "+was.Name, arguments(was.Fields), arguments(is.Fields))
		return
	}
	for _, field := range was.Fields {
		path := was.Name + "." + field.Name
		now := is.Fields.ForName(field.Name)
		if now == nil {
			c.add("the field %s was removed", path)
			continue
		}
		if !narrower(field.Type, now.Type) {
			c.add("the field %s was a %s, and is a %s", path, field.Type, now.Type)
		}
		c.inputs("the field "+path, field.Arguments, now.Arguments)
	}
}

// inputs compares what a client may give: of a field its arguments, of an input object its
// fields.
func (c *comparison) inputs(of string, was, is ast.ArgumentDefinitionList) {
	for _, argument := range was {
		now := is.ForName(argument.Name)
		switch {
		case now == nil:
			c.add("%s does not take %s any more", of, argument.Name)
		case !narrower(now.Type, argument.Type):
			c.add("%s took a %s as %s, and takes a %s", of, argument.Type, argument.Name, now.Type)
		case argument.DefaultValue.String() != now.DefaultValue.String():
			c.add("the default of %s of %s was %s, and is %s", argument.Name, of, argument.DefaultValue, now.DefaultValue)
		}
	}
	for _, argument := range is {
		if was.ForName(argument.Name) == nil && argument.Type.NonNull && argument.DefaultValue == nil {
			c.add("%s needs %s now", of, argument.Name)
		}
	}
}

// arguments returns the fields of an input object as arguments.
func arguments(fields ast.FieldList) (all ast.ArgumentDefinitionList) {
	for _, f := range fields {
		all = append(all, &ast.ArgumentDefinition{Name: f.Name, Type: f.Type, DefaultValue: f.DefaultValue})
	}
	return all
}

// narrower tells whether every value of the type b is one of a: a may be null where b is
// not, and that at every level of a list.
func narrower(a, b *ast.Type) bool {
	switch {
	case a.NonNull && !b.NonNull:
		return false
	case (a.Elem == nil) != (b.Elem == nil):
		return false
	case a.Elem != nil:
		return narrower(a.Elem, b.Elem)
	}
	return a.NamedType == b.NamedType
}
