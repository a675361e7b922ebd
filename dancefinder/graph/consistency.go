package graph

import (
	"context"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/dancefinder/eventsourcing/dancefinder/identity"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

// consistency has queries wait for the writes that they have to show, and says in
// extensions.consistency how that went.
type consistency struct{ *server }

var _ interface {
	graphql.OperationInterceptor
	graphql.ResponseInterceptor
} = consistency{}

// ExtensionName implements [graphql.HandlerExtension].
func (consistency) ExtensionName() string { return "Consistency" }

// Validate implements [graphql.HandlerExtension].
func (consistency) Validate(graphql.ExecutableSchema) error { return nil }

// InterceptOperation implements [graphql.OperationInterceptor].
func (c consistency) InterceptOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	operation := graphql.GetOperationContext(ctx)
	if operation.Operation.Operation == ast.Subscription {
		requestOf(ctx).expires.Reset(c.config.subscriptionTime(ctx))
	}
	if err := c.await(ctx, operation); err != nil {
		shown := c.present(ctx, err)
		return graphql.OneShot(&graphql.Response{Errors: gqlerror.List{shown}, Extensions: c.extensions(ctx)})
	}
	handler, told := next(ctx), false
	return func(ctx context.Context) *graphql.Response {
		response := handler(ctx)
		if response != nil {
			told = true
			return response
		}
		// gqlgen has nothing to say once the context has ended, or a subscription has.
		err := requestOf(ctx).failed()
		if err == nil && !told {
			err = context.Cause(ctx)
		}
		if err == nil {
			return nil
		}
		told = true
		return &graphql.Response{Errors: gqlerror.List{c.present(ctx, err)}}
	}
}

// await waits for what the token of the request names.
func (c consistency) await(ctx context.Context, operation *graphql.OperationContext) error {
	token, _, err := demanded(requestOf(ctx), operation)
	if err != nil || token == "" {
		return err
	}
	if operation.Operation.Operation != ast.Query {
		_, err := c.config.Consistency.Verify(ctx, token)
		return err
	}
	names := reads(ctx, operation)
	if len(names) == 0 {
		_, err := c.config.Consistency.Verify(ctx, token)
		return err
	}
	position, err := c.config.Consistency.Verify(ctx, token)
	if err != nil {
		return err
	}
	return waitFor(ctx, c.config.Consistency, position, names...)
}

// waitFor waits until the projections have applied a position. It fails only when that
// is in vain and the request is strict.
func waitFor(ctx context.Context, of *readview.Consistency, position eventsourced.Position, names ...string) error {
	result, err := of.WaitPosition(ctx, position, names...)
	if err != nil {
		return err
	}
	q := requestOf(ctx)
	q.waitedFor(result)
	_, strict, err := demanded(q, graphql.GetOperationContext(ctx))
	if err == nil && strict {
		err = result.Err()
	}
	return err
}

// demanded returns the token that a request carries, and whether it is strict.
func demanded(q *request, operation *graphql.OperationContext) (token string, strict bool, err error) {
	token = single(q.header.Values(readview.TokenHeader))
	switch mode := single(q.header.Values(readview.ConsistencyHeader)); {
	case strings.EqualFold(mode, readview.ConsistencyStrict):
		strict = true
	case mode != "":
		return "", false, refusal(CodeBadRequest, `The header Consistency can only say "strict".`)
	}
	extension, given := operation.Extensions["consistency"]
	if !given || extension == nil {
		return token, strict, nil
	}
	bad := refusal(CodeBadRequest, `The extension consistency has to be such as {"token": "...", "strict": true}.`)
	members, ok := extension.(map[string]any)
	if !ok {
		return "", false, bad
	}
	for name, value := range members {
		text, isText := value.(string)
		flag, isFlag := value.(bool)
		switch {
		case name == "token" && isText:
			token = text
		case name == "strict" && isFlag:
			strict = strict || flag
		default:
			return "", false, bad
		}
	}
	return token, strict, nil
}

// InterceptResponse implements [graphql.ResponseInterceptor].
func (c consistency) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	response := next(ctx)
	if response == nil {
		return nil
	}
	for name, value := range c.extensions(ctx) {
		if response.Extensions == nil {
			response.Extensions = map[string]any{}
		}
		response.Extensions[name] = value
	}
	return response
}

// extensions returns what there is to say about consistency, and sets the headers of it.
func (c consistency) extensions(ctx context.Context) map[string]any {
	q := requestOf(ctx)
	q.mu.Lock()
	defer q.mu.Unlock()
	said := map[string]any{}
	if q.waited != nil {
		said["satisfied"], said["projections"] = q.waited.Satisfied, q.waited.Projections
		q.answer.Set(readview.ConsistencyHeader, readview.ConsistencySatisfied)
		if !q.waited.Satisfied {
			q.answer.Set(readview.ConsistencyHeader, readview.ConsistencyStale)
		}
	}
	if q.position != 0 {
		token := c.config.Consistency.Token(q.position)
		said["token"] = token
		q.answer.Set(readview.TokenHeader, token)
	}
	if len(said) == 0 {
		return nil
	}
	return map[string]any{"consistency": said}
}

// user returns who asks, nil for somebody anonymous.
func user(ctx context.Context) *identity.User {
	if who, ok := identity.FromContext(ctx); ok {
		return &who
	}
	return nil
}
