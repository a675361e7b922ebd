package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/rules"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/dancefinder/eventsourcing/dancefinder/graph/internal/exec"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// cachedDocuments is how many documents are kept parsed.
const cachedDocuments = 200

type server struct {
	config  Config
	schema  *ast.Schema
	gateway *handler.Server
}

// NewHandler returns the handler of GraphQL, for any path. Who asks is in the request's
// context, see package identity. By GET and POST it answers queries, by POST mutations,
// and by POST with "Accept: text/event-stream" subscriptions. A POST has to be JSON, which
// a page of another site can't send unasked.
//
// Its errors name what is wrong with the config.
func NewHandler(config Config) (http.Handler, error) {
	config, err := config.check()
	if err != nil {
		return nil, err
	}
	root := &resolver{config: config, reader: query.New(config.Pool)}
	schema := exec.NewExecutableSchema(exec.Config{Resolvers: root, Complexity: complexity()})
	s := &server{config: config, schema: schema.Schema(), gateway: handler.New(schema)}
	s.gateway.AddTransport(transport.SSE{KeepAlivePingInterval: config.Limits.KeepAlive})
	s.gateway.AddTransport(transport.GET{})
	s.gateway.AddTransport(transport.POST{})
	s.gateway.SetQueryCache(lru.New[*ast.QueryDocument](cachedDocuments))
	s.gateway.SetParserTokenLimit(config.Limits.Tokens)
	if !config.Development {
		s.gateway.SetDisableSuggestion(true)
		s.gateway.SetValidationRulesFn(withoutSuggestions)
	}
	s.gateway.SetErrorPresenter(s.present)
	s.gateway.SetRecoverFunc(s.recovered)
	if config.Development {
		s.gateway.Use(extension.Introspection{})
	}
	s.gateway.Use(documents{only: config.TrustedDocuments})
	s.gateway.Use(limits{config.Limits})
	s.gateway.Use(extension.FixedComplexityLimit(config.Limits.Complexity))
	s.gateway.Use(consistency{s})
	s.gateway.AroundOperations(describe)
	return s, nil
}

// describe tells the request's span what is asked for.
func describe(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	if operation := graphql.GetOperationContext(ctx); operation.Operation != nil {
		trace.SpanFromContext(ctx).SetAttributes(attribute.String("graphql.operation.type", string(operation.Operation.Operation)),
			attribute.String("graphql.operation.name", operation.Operation.Name))
	}
	return next(ctx)
}

// withoutSuggestions returns the rules for documents, none of which says what a name that
// is mistyped might be. gqlgen leaves out the suggestions of some of them by itself.
func withoutSuggestions() *rules.Rules {
	all := rules.NewDefaultRules()
	all.ReplaceRule(rules.KnownArgumentNamesRule.Name, rules.KnownArgumentNamesRuleWithoutSuggestions.RuleFunc)
	all.ReplaceRule(rules.KnownTypeNamesRule.Name, rules.KnownTypeNamesRuleWithoutSuggestions.RuleFunc)
	all.ReplaceRule(rules.ValuesOfCorrectTypeRule.Name, rules.ValuesOfCorrectTypeRuleWithoutSuggestions.RuleFunc)
	return all
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, q, end := newRequest(w, r, s.config)
	defer end()
	w.Header().Set("Request-Id", q.id)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Add("Vary", "Accept, Authorization, Cookie, Consistency-Token, Consistency")
	r = r.WithContext(ctx)
	switch r.Method {
	case http.MethodGet:
		if int64(len(r.URL.RawQuery)) > s.config.Limits.Body {
			refuse(w, http.StatusRequestURITooLong, CodeTooLarge, "The query of the URL is too long.")
			return
		}
	case http.MethodPost:
		if !s.readBody(w, r) {
			return
		}
	default:
		w.Header().Set("Allow", "GET, POST")
		refuse(w, http.StatusMethodNotAllowed, CodeMethod, "Use POST, or GET for queries.")
		return
	}
	q.stream = transport.SSE{}.Supports(r)
	answer := newAnswer(w, q, s.config.Limits.WriteTime)
	defer answer.end()
	s.gateway.ServeHTTP(answer, r)
}

// readBody puts a body in place that is within its limit and is a request. It answers
// when there is none.
func (s *server) readBody(w http.ResponseWriter, r *http.Request) bool {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, CodeBadRequest, "A POST has to have the Content-Type application/json.")
		return false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.config.Limits.Body))
	if errors.As(err, new(*http.MaxBytesError)) {
		refuse(w, http.StatusRequestEntityTooLarge, CodeTooLarge, "The body is too large.")
		return false
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, CodeBadRequest, "The body could not be read.")
		return false
	}
	if json.Unmarshal(body, new(graphql.RawParams)) != nil || !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		refuse(w, http.StatusBadRequest, CodeBadRequest, `The body is not a request, such as {"query": "{ me { subject } }"}.`)
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return true
}

// refuse answers what does not get as far as GraphQL.
func refuse(w http.ResponseWriter, status int, code, message string) {
	body, err := json.Marshal(graphql.Response{Errors: gqlerror.List{refusal(code, message)}})
	if err != nil {
		panic(err) // it is of strings
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // nothing to do for a client that is gone
}

// single returns the one value of a header. Several are none that anybody knows.
func single(values []string) string { return strings.Join(values, ", ") }
