package graph

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/uuid"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/graph/internal/exec"
	"github.com/dancefinder/eventsourcing/dancefinder/graph/internal/model"
	"github.com/dancefinder/eventsourcing/dancefinder/identity"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// resolver answers the fields of the schema's three roots.
type resolver struct {
	config Config
	reader *query.Reader
}

type (
	queries       struct{ *resolver }
	mutations     struct{ *resolver }
	subscriptions struct{ *resolver }
)

// Query implements [exec.ResolverRoot].
func (r *resolver) Query() exec.QueryResolver { return queries{r} }

// Mutation implements [exec.ResolverRoot].
func (r *resolver) Mutation() exec.MutationResolver { return mutations{r} }

// Subscription implements [exec.ResolverRoot].
func (r *resolver) Subscription() exec.SubscriptionResolver { return subscriptions{r} }

// source returns what one field is answered from.
func (r *resolver) source(ctx context.Context) *model.Source {
	return &model.Source{Reader: r.reader, User: user(ctx)}
}

// loggedIn returns who asks, if they are somebody and have the role; "" is no role.
func loggedIn(ctx context.Context, role string) (identity.User, error) {
	who, ok := identity.FromContext(ctx)
	switch {
	case !ok:
		return who, refusal(CodeUnauthenticated, "Nobody is logged in.")
	case role != "" && !who.Has(role):
		return who, refusal(CodeForbidden, "This needs the role "+role+".")
	}
	return who, nil
}

// command is a mutation that is being carried out. do returns the id of what it has
// changed and where that left the log.
type command[ID ~string] struct {
	role string // that it needs, "" for none
	id   *string
	do   func(ctx context.Context, who identity.User) (ID, eventsourced.Position, error)
}

// carry carries a command out. When the domain refuses it, the outcome says so and the
// id is nil. read makes what reads the answer, from who has asked and where the log is.
func carry[ID ~string](ctx context.Context, r *resolver, c command[ID]) (outcome model.Outcome, id *string, at eventsourced.Position, err error) {
	outcome.Errors = []*model.UserError{}
	who, err := loggedIn(ctx, c.role)
	if err != nil {
		return outcome, nil, 0, err
	}
	q := requestOf(ctx)
	writing := eventsourced.WithCorrelation(eventsourced.WithActor(ctx, who.Subject), q.id)
	if c.id != nil {
		once, err := commandOf(ctx, who, *c.id)
		if err != nil {
			return outcome, nil, 0, err
		}
		writing = eventsourced.WithCommand(writing, once)
	}
	of, at, err := c.do(writing, who)
	var refused *domain.Error
	if errors.As(err, &refused) {
		outcome.Errors = append(outcome.Errors, &model.UserError{Code: refused.Code, Field: nonEmpty(refused.Field), Message: refused.Message})
		return outcome, nil, 0, nil
	}
	if err != nil {
		return outcome, nil, 0, err
	}
	if at != 0 {
		q.wrote(at)
		token := r.config.Consistency.Token(at)
		outcome.ConsistencyToken = &token
	}
	text := string(of)
	return outcome, &text, at, nil
}

// commandOf returns the id of a command. It is the user's own, and of this field with
// these arguments: whoever uses an id for something else as well means another command.
func commandOf(ctx context.Context, who identity.User, id string) (eventsourced.EventID, error) {
	if parsed, err := uuid.Parse(id); err != nil || len(id) != len(parsed.String()) {
		return eventsourced.EventID{}, &model.InputError{Field: "commandId", Message: "commandId has to be a UUID."}
	}
	field := graphql.GetFieldContext(ctx)
	arguments, err := json.Marshal([]any{who.Subject, field.Field.Name, field.Args})
	if err != nil {
		return eventsourced.EventID{}, err
	}
	sum := sha256.Sum256(arguments)
	return eventsourced.EventID(uuid.NewSHA1(commandSpace, sum[:])), nil
}

var commandSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/dancefinder/eventsourcing/graph/commands"))

// after returns what reads something as it is after a mutation: it waits for the
// projections first.
func after[T any](r *resolver, at eventsourced.Position, read func(context.Context, *model.Source) (*T, error), names ...string) model.Reading[T] {
	return func(ctx context.Context) (*T, error) {
		if at != 0 {
			if err := waitFor(ctx, r.config.Consistency, at, names...); err != nil {
				return nil, err
			}
		}
		return read(ctx, r.source(ctx))
	}
}

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// subscriptionTime returns how long a subscription may go on: no longer than whoever has
// asked is known to be who they are.
func (c Config) subscriptionTime(ctx context.Context) time.Duration {
	limit := c.Limits.SubscriptionTime
	if who := user(ctx); who != nil && !who.Expires.IsZero() {
		limit = min(limit, time.Until(who.Expires))
	}
	return max(limit, 0)
}
