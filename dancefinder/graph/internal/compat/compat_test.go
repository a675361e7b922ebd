package compat_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/dancefinder/eventsourcing/dancefinder/graph/internal/compat"
)

func TestBreaking(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		was, is string
		found   []string
	}{
		"nothing":                          {`type T { a: Int }`, `type T { a: Int }`, nil},
		"another description":              {`"a" type T { "b" a: Int }`, `"c" type T { "d" a: Int }`, nil},
		"a new type":                       {``, `type T { a: Int }`, nil},
		"a type is gone":                   {`type T { a: Int }`, ``, []string{"the type T was removed"}},
		"a type is of another kind":        {`type T { a: Int }`, `input T { a: Int }`, []string{"the type T was of kind OBJECT, and is of kind INPUT_OBJECT"}},
		"a scalar is gone":                 {`scalar S`, ``, []string{"the type S was removed"}},
		"a new field":                      {`type T { a: Int }`, `type T { a: Int b: Int! }`, nil},
		"a field is gone":                  {`type T { a: Int b: Int }`, `type T { a: Int }`, []string{"the field T.b was removed"}},
		"a field is deprecated":            {`type T { a: Int }`, `type T { a: Int @deprecated }`, nil},
		"a field of another type":          {`type T { a: Int }`, `type T { a: String }`, []string{"the field T.a was a Int, and is a String"}},
		"a field is never null any more":   {`type T { a: Int }`, `type T { a: Int! }`, nil},
		"a field may be null":              {`type T { a: Int! }`, `type T { a: Int }`, []string{"the field T.a was a Int!, and is a Int"}},
		"a field is a list":                {`type T { a: Int }`, `type T { a: [Int] }`, []string{"the field T.a was a Int, and is a [Int]"}},
		"elements are never null any more": {`type T { a: [Int] }`, `type T { a: [Int!]! }`, nil},
		"elements may be null":             {`type T { a: [Int!] }`, `type T { a: [Int] }`, []string{"the field T.a was a [Int!], and is a [Int]"}},
		"a new argument":                   {`type T { a: Int }`, `type T { a(b: Int): Int }`, nil},
		"a new argument with a default":    {`type T { a: Int }`, `type T { a(b: Int! = 1): Int }`, nil},
		"a new argument that is required":  {`type T { a: Int }`, `type T { a(b: Int!): Int }`, []string{"the field T.a needs b now"}},
		"an argument is gone":              {`type T { a(b: Int): Int }`, `type T { a: Int }`, []string{"the field T.a does not take b any more"}},
		"an argument of another type":      {`type T { a(b: Int): Int }`, `type T { a(b: ID): Int }`, []string{"the field T.a took a Int as b, and takes a ID"}},
		"an argument is required":          {`type T { a(b: Int): Int }`, `type T { a(b: Int!): Int }`, []string{"the field T.a took a Int as b, and takes a Int!"}},
		"an argument is not required":      {`type T { a(b: Int!): Int }`, `type T { a(b: Int): Int }`, nil},
		"elements of an argument":          {`type T { a(b: [Int]): Int }`, `type T { a(b: [Int!]): Int }`, []string{"the field T.a took a [Int] as b, and takes a [Int!]"}},
		"another default":                  {`type T { a(b: Int = 1): Int }`, `type T { a(b: Int = 2): Int }`, []string{"the default of b of the field T.a was 1, and is 2"}},
		"a default is gone":                {`type T { a(b: Int! = 1): Int }`, `type T { a(b: Int!): Int }`, []string{"the default of b of the field T.a was 1, and is none"}},
		"a first default":                  {`type T { a(b: Int): Int }`, `type T { a(b: Int = 2): Int }`, []string{"the default of b of the field T.a was none, and is 2"}},
		"a new value":                      {`enum E { A }`, `enum E { A B }`, nil},
		"a value is gone":                  {`enum E { A B }`, `enum E { A }`, []string{"the value B of the enum E was removed"}},
		"a new field of an input":          {`input I { a: Int }`, `input I { a: Int b: Int }`, nil},
		"a required field of an input":     {`input I { a: Int }`, `input I { a: Int b: Int! }`, []string{"the input I needs b now"}},
		"a field of an input is gone":      {`input I { a: Int b: Int }`, `input I { a: Int }`, []string{"the input I does not take b any more"}},
		"a field of an input is required":  {`input I { a: Int }`, `input I { a: Int! }`, []string{"the input I took a Int as a, and takes a Int!"}},
		"an interface is gone":             {`interface N { a: Int } type T implements N { a: Int }`, `interface N { a: Int } type T { a: Int }`, []string{"the type T does not implement N any more"}},
		"a member of a union is gone":      {`type A { a: Int } type B { a: Int } union U = A | B`, `type A { a: Int } type B { a: Int } union U = A`, []string{"the union U does not have B any more"}},
		"a directive is gone":              {`directive @d on FIELD`, ``, []string{"the directive @d was removed"}},
		"an argument of a directive":       {`directive @d on FIELD`, `directive @d(a: Int!) on FIELD`, []string{"the directive @d needs a now"}},
		"everything is told, in order":     {`type A { a: Int b: Int } type B { a: Int }`, `type A { c: Int }`, []string{"the field A.a was removed", "the field A.b was removed", "the type B was removed"}},
		"a root without a field":           {`extend type Query { a: Int }`, ``, []string{"the field Query.a was removed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.found, compat.Breaking(load(t, c.was), load(t, c.is)))
		})
	}
}

func load(t *testing.T, text string) *ast.Schema {
	t.Helper()
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: "type Query { always: Int }\n" + text})
	require.NoError(t, err)
	return schema
}
