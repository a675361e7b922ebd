package graph

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/dancefinder/eventsourcing/dancefinder/graph/internal/model"
	"github.com/dancefinder/eventsourcing/dancefinder/live"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

// The codes of errors, in extensions.code. gqlgen has some more, for documents that are
// not valid: GRAPHQL_PARSE_FAILED, GRAPHQL_VALIDATION_FAILED, COMPLEXITY_LIMIT_EXCEEDED.
const (
	CodeBadRequest           = "BAD_REQUEST"                // what came is not a request of GraphQL
	CodeBadUserInput         = "BAD_USER_INPUT"             // a value is wrong; extensions.field says which
	CodeUnauthenticated      = "UNAUTHENTICATED"            // nobody is logged in
	CodeForbidden            = "FORBIDDEN"                  // a role is missing
	CodeInternal             = "INTERNAL"                   // a fault; extensions.requestId finds it in the log
	CodeConflict             = "CONFLICT"                   // others changed the same thing all the time: try again
	CodeTimeout              = "TIMEOUT"                    // see Limits.Time. A mutation may have been carried out
	CodeTooLarge             = "TOO_LARGE"                  // see Limits.Body
	CodeDepth                = "DEPTH_LIMIT_EXCEEDED"       // see Limits.Depth
	CodeRootFields           = "ROOT_FIELDS_LIMIT_EXCEEDED" // see Limits.RootFields
	CodeAliases              = "ALIASES_LIMIT_EXCEEDED"     // see Limits.Aliases
	CodeMethod               = "METHOD_NOT_ALLOWED"         // by GET only queries are answered
	CodeNeedsStream          = "SUBSCRIPTION_NEEDS_STREAM"  // it has to be asked for with Accept: text/event-stream
	CodePersistedNotFound    = "PERSISTED_QUERY_NOT_FOUND"  // there is no document with this hash
	CodePersistedRequired    = "PERSISTED_QUERY_REQUIRED"   // only documents with a hash are answered
	CodeBadConsistencyToken  = "BAD_CONSISTENCY_TOKEN"      // it is not one that this service has given out
	CodeConsistencyTimeout   = "CONSISTENCY_TIMEOUT"        // the answer would be stale, and should not be
	CodeSlowSubscriber       = "SLOW_SUBSCRIBER"            // subscribe anew, and ask anew what was missed
	CodeTooManySubscriptions = "TOO_MANY_SUBSCRIPTIONS"     // of the client, or of all
	CodeStopped              = "SERVER_STOPPING"            // subscribe anew, with another server
	CodeCancelled            = "CANCELLED"                  // the client is gone
)

// refusal returns an error that is shown as it is.
func refusal(code, message string) *gqlerror.Error {
	return &gqlerror.Error{Message: message, Extensions: map[string]any{"code": code}}
}

// faults has the words for errors that are known.
var faults = []struct {
	err           error
	code, message string
}{
	{readview.ErrToken, CodeBadConsistencyToken, "The consistency token is not one that this service has given out."},
	{readview.ErrConsistencyTimeout, CodeConsistencyTimeout, "What was written is not in the read views yet."},
	{live.ErrSlow, CodeSlowSubscriber, "There were more changes than were taken. Subscribe anew, and ask anew."},
	{live.ErrTooMany, CodeTooManySubscriptions, "There are too many subscriptions. Try again later."},
	{live.ErrTooManyOfClient, CodeTooManySubscriptions, "You have too many subscriptions. End one of them."},
	{live.ErrStopped, CodeStopped, "The server stops. Subscribe anew."},
	{eventsourced.ErrConflict, CodeConflict, "Others have changed the same thing. Try again."},
	{errTime, CodeTimeout, "The request took too long. A mutation may have been carried out."},
	{context.Canceled, CodeCancelled, "The request was cancelled."},
}

// present makes of an error what may be shown.
func (s *server) present(ctx context.Context, err error) *gqlerror.Error {
	shown := graphql.DefaultErrorPresenter(ctx, err)
	if cause := context.Cause(ctx); errors.Is(cause, errTime) && ctx.Err() != nil && shown.Err != nil {
		err = errTime // whatever it looks like to whoever was interrupted
	}
	code, message, field := "", "", ""
	var problem *query.Problem
	var input *model.InputError
	switch {
	case errors.As(err, &problem):
		code, message, field = CodeBadUserInput, problem.Error(), problem.Field
	case errors.As(err, &input):
		code, message, field = CodeBadUserInput, input.Message, input.Field
	case shown.Err == nil: // by this package, or by gqlgen about the document
		if shown.Extensions["code"] == nil {
			shown.Extensions = map[string]any{"code": CodeBadRequest}
		}
		return shown
	default:
		code, message = s.fault(ctx, err)
	}
	answer := &gqlerror.Error{Message: message, Path: shown.Path, Locations: shown.Locations, Extensions: map[string]any{"code": code}}
	if field != "" {
		answer.Extensions["field"] = field
	}
	if code == CodeInternal {
		answer.Extensions["requestId"] = requestOf(ctx).id
		s.config.Logger.ErrorContext(ctx, "a request failed", "request_id", requestOf(ctx).id, "error", err, "path", shown.Path.String())
	}
	return answer
}

func (s *server) fault(ctx context.Context, err error) (code, message string) {
	for _, known := range faults {
		if errors.Is(err, known.err) {
			return known.code, known.message
		}
	}
	return CodeInternal, "Something went wrong here. The request's id is " + requestOf(ctx).id + "."
}

// panicError is what a panic becomes.
type panicError struct{ value any }

func (p panicError) Error() string { return "panic" }

func (s *server) recovered(ctx context.Context, value any) error {
	s.config.Logger.ErrorContext(ctx, "a request panicked", "request_id", requestOf(ctx).id,
		slog.Any("panic", value), "stack", string(debug.Stack()))
	return panicError{value}
}
