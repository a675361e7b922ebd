package graph

import (
	"context"
	"maps"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// readBy says which projections a field is read from. Fields that are not here are read
// from what the field above them has found.
var readBy = map[string][]string{
	"Query.events":           {"event", "dancehall", "userpreferences"},
	"Query.event":            {"event"},
	"Query.band":             {"band"},
	"Query.bands":            {"band"},
	"Query.danceHall":        {"dancehall"},
	"Query.danceHalls":       {"dancehall"},
	"Query.me":               {"userpreferences"},
	"Event.band":             {"band"},
	"Event.danceHall":        {"dancehall"},
	"EventConnection.facets": {"band"},
	"Band.events":            {"event"},
	"Band.ignored":           {"userpreferences"},
	"DanceHall.events":       {"event"},
	"DanceHall.ignored":      {"userpreferences"},
	"IgnoredBand.name":       {"band"},
	"IgnoredDanceHall.name":  {"dancehall"},
}

// reads returns the projections that a query is answered from, in order. The preferences
// of somebody anonymous are none.
func reads(ctx context.Context, operation *graphql.OperationContext) []string {
	r := reading{variables: operation.Variables, names: map[string]bool{}, seen: map[*ast.FragmentDefinition]bool{}}
	r.set(operation.Operation.SelectionSet)
	if user(ctx) == nil {
		delete(r.names, "userpreferences")
	}
	return slices.Sorted(maps.Keys(r.names))
}

type reading struct {
	variables map[string]any
	names     map[string]bool
	seen      map[*ast.FragmentDefinition]bool
}

func (r reading) set(set ast.SelectionSet) {
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			r.field(selection)
		case *ast.InlineFragment:
			r.set(selection.SelectionSet)
		case *ast.FragmentSpread:
			if !r.seen[selection.Definition] {
				r.seen[selection.Definition] = true
				r.set(selection.Definition.SelectionSet)
			}
		}
	}
}

func (r reading) field(f *ast.Field) {
	if f.ObjectDefinition == nil {
		return
	}
	name := f.ObjectDefinition.Name + "." + f.Name
	for _, projection := range readBy[name] {
		r.names[projection] = true
	}
	if filter, ok := f.ArgumentMap(r.variables)["filter"].(map[string]any); ok && name == "Query.events" {
		if search, _ := filter["search"].(string); search != "" {
			r.names["band"] = true
		}
	}
	r.set(f.SelectionSet)
}
