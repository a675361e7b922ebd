package graph

import (
	"context"
	"fmt"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/dancefinder/eventsourcing/dancefinder/graph/internal/exec"
	"github.com/dancefinder/eventsourcing/dancefinder/graph/internal/model"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// limits refuses operations that are too much, before anything is done for them.
type limits struct{ Limits }

var _ graphql.OperationContextMutator = limits{}

// ExtensionName implements [graphql.HandlerExtension].
func (limits) ExtensionName() string { return "Limits" }

// Validate implements [graphql.HandlerExtension].
func (limits) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext implements [graphql.OperationContextMutator].
func (l limits) MutateOperationContext(ctx context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	q := requestOf(ctx)
	switch kind := operation.Operation.Operation; {
	case q.method == http.MethodGet && kind != ast.Query:
		q.refuse(http.StatusMethodNotAllowed)
		q.answer.Set("Allow", "POST")
		return refusal(CodeMethod, "By GET only queries are answered.")
	case kind == ast.Subscription && !q.stream:
		q.refuse(http.StatusNotAcceptable)
		return refusal(CodeNeedsStream, "A subscription has to be asked for with Accept: text/event-stream.")
	}
	s := survey{depths: map[*ast.FragmentDefinition]shape{}}
	of := s.set(operation.Operation.SelectionSet)
	switch {
	case of.fields > l.RootFields:
		return refusal(CodeRootFields, fmt.Sprintf("The operation has %d fields at its root, the limit is %d.", of.fields, l.RootFields))
	case of.aliases > l.Aliases:
		return refusal(CodeAliases, fmt.Sprintf("The operation has more than %d aliases.", l.Aliases))
	case of.depth > l.Depth:
		return refusal(CodeDepth, fmt.Sprintf("The fields lie %d deep, the limit is %d.", of.depth, l.Depth))
	}
	return nil
}

// shape is how large a selection is. Questions about the schema itself are not counted:
// they cost nothing but what gqlparser's own rule about them allows.
type shape struct{ depth, fields, aliases int }

// survey measures selections, each fragment once: spreads of spreads of spreads are many.
type survey struct {
	depths map[*ast.FragmentDefinition]shape
}

// countless is more than any limit, and can be added up without an overflow.
const countless = 1 << 30

// set returns the shape of a selection; fields are those of its own level.
func (s survey) set(set ast.SelectionSet) (all shape) {
	for _, selection := range set {
		var one shape
		switch selection := selection.(type) {
		case *ast.Field:
			one = s.field(selection)
		case *ast.InlineFragment:
			one = s.set(selection.SelectionSet)
		case *ast.FragmentSpread:
			known, ok := s.depths[selection.Definition]
			if !ok {
				known = s.set(selection.Definition.SelectionSet)
				s.depths[selection.Definition] = known
			}
			one = known
		}
		all.depth = max(all.depth, one.depth)
		all.fields = min(all.fields+one.fields, countless)
		all.aliases = min(all.aliases+one.aliases, countless)
	}
	return all
}

func (s survey) field(f *ast.Field) shape {
	if f.Name == "__schema" || f.Name == "__type" {
		return shape{depth: 1, fields: 1}
	}
	below := s.set(f.SelectionSet)
	one := shape{depth: below.depth + 1, fields: 1, aliases: below.aliases}
	if f.Alias != f.Name {
		one.aliases++
	}
	return one
}

// The weight of what costs more than a field.
const (
	statement = 10 // of SQL
	chosen    = 50 // of a list that a user has made
)

// complexity says how many fields there may be under a list.
func complexity() (c exec.ComplexityRoot) {
	page := func(child, first int) int { return statement + child*min(max(first, 1), query.MaxFirst) }
	c.Query.Events = func(child int, _ model.EventFilter, _ model.EventSort, first int, _ *string) int {
		return page(child, first)
	}
	c.Query.Bands = func(child int, _ string, first int, _ *string) int { return page(child, first) }
	c.Query.DanceHalls = func(child int, _ string, first int, _ *string) int { return page(child, first) }
	c.Query.Places = func(child int, _ string, first int) int { return page(child, first) }
	related := func(child int, _, _ *model.Date, first int, _ *string) int { return page(child, first) }
	c.Band.Events, c.DanceHall.Events = related, related
	one := func(child int, _ string) int { return statement + child }
	c.Query.Event, c.Query.Band, c.Query.DanceHall = one, one, one
	list := func(child int) int { return statement + chosen*child }
	c.Query.Me = func(child int) int { return statement + child }
	c.Me.IgnoredBands, c.Me.IgnoredDanceHalls = list, list
	c.Subscription.EventsChanged = func(child int, _ model.EventFilter) int { return statement + child }
	return c
}
