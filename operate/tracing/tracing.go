package tracing

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
)

// Scope names this package among those that make spans.
const Scope = "github.com/dancefinder/eventsourcing/operate/tracing"

// MaxLinks is how many links a span has at most, which is also the default limit of OpenTelemetry's SDK.
const MaxLinks = 128

const maxNames = 10 // of events in an attribute

// Config is the optional part of a [Tracing]. The zero value works.
type Config struct {
	// Events makes a span for each event that a projection handles, besides that of the page.
	Events bool
}

// Tracing is the tracer of a log's store and of consumers. It is safe for concurrent use.
type Tracing struct {
	tracer trace.Tracer
	config Config
}

var (
	_ pgstore.Tracer  = (*Tracing)(nil)
	_ consumer.Tracer = (*Tracing)(nil)
)

// New returns a tracing whose spans a provider makes. It panics without one.
func New(provider trace.TracerProvider, config Config) *Tracing {
	if provider == nil {
		panic("tracing.New: the provider is nil")
	}
	return &Tracing{tracer: provider.Tracer(Scope), config: config}
}

// Appending implements [pgstore.Tracer].
func (t *Tracing) Appending(ctx context.Context, stream eventsourced.Stream, events []eventsourced.EventData) (context.Context, func(eventsourced.Position, error)) {
	if !trace.SpanContextFromContext(ctx).IsValid() && len(events) > 0 {
		if of := contextOf(events[0].Metadata); of.IsValid() {
			ctx = trace.ContextWithRemoteSpanContext(ctx, of)
		}
	}
	ctx, span := t.tracer.Start(ctx, "append "+stream.AggregateName, trace.WithSpanKind(trace.SpanKindProducer))
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("eventlog.aggregate", stream.AggregateName),
			attribute.StringSlice("eventlog.event_names", names(events)),
			attribute.Int("eventlog.events", len(events)),
		)
	}
	return carry(ctx), func(at eventsourced.Position, err error) {
		outcome := "appended"
		switch {
		case errors.Is(err, eventsourced.ErrConflict):
			outcome, err = "conflict", nil
		case err != nil:
			outcome = "error"
		}
		span.SetAttributes(attribute.String("eventlog.outcome", outcome))
		end(span, at, err)
	}
}

func names(events []eventsourced.EventData) (all []string) {
	for _, event := range events {
		if len(all) < maxNames && !slices.Contains(all, event.Name) {
			all = append(all, event.Name)
		}
	}
	return all
}

// Handling implements [consumer.Tracer].
func (t *Tracing) Handling(ctx context.Context, work consumer.Handling) (context.Context, func(eventsourced.Position, error)) {
	name, kind := spanOf(work)
	options := []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithAttributes(attributes(work.ID, work.Topic)...),
		trace.WithAttributes(attribute.Int("eventlog.events", work.Events))}
	if parent, links := causes(work.Causes); parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	} else {
		options = append(options, trace.WithNewRoot(), trace.WithLinks(links...))
	}
	ctx, span := t.tracer.Start(ctx, name, options...)
	return carry(ctx), func(done eventsourced.Position, err error) { end(span, done, err) }
}

// HandlingEvent implements [consumer.Tracer].
func (t *Tracing) HandlingEvent(ctx context.Context, id consumer.ID, event *eventsourced.Recorded) (context.Context, func(error)) {
	if !t.config.Events {
		return ctx, nil
	}
	options := []trace.SpanStartOption{trace.WithAttributes(attributes(id, "")...),
		trace.WithAttributes(attribute.Int64("eventlog.position", int64(event.Position)))}
	if of := contextOf(event.Metadata); of.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: of}))
	}
	ctx, span := t.tracer.Start(ctx, "handle "+event.Name, options...)
	return carry(ctx), func(err error) { end(span, 0, err) }
}

// spanOf returns the name and the kind of a span.
func spanOf(work consumer.Handling) (string, trace.SpanKind) {
	switch id := work.ID; id.Kind {
	case consumer.KindRelay:
		return "publish " + work.Topic, trace.SpanKindProducer
	case consumer.KindReactor:
		return "react " + id.Name, trace.SpanKindConsumer
	case consumer.KindSubscriber:
		if id.Name == "" { // without a group
			return "deliver " + id.Topic, trace.SpanKindConsumer
		}
		return "deliver " + id.Name + " " + id.Topic, trace.SpanKindConsumer
	default:
		return "apply " + id.Name, trace.SpanKindConsumer
	}
}

func attributes(id consumer.ID, topic string) []attribute.KeyValue {
	all := []attribute.KeyValue{attribute.String("consumer.kind", string(id.Kind)), attribute.String("consumer.name", id.Name)}
	if topic == "" {
		topic = id.Topic
	}
	if topic != "" {
		all = append(all, attribute.String("consumer.topic", topic))
	}
	return all
}

// causes returns the one append that all events are of, or links to the appends.
func causes(all iter.Seq[eventsourced.Metadata]) (parent trace.SpanContext, links []trace.Link) {
	alone := true // they are all of one trace's append
	type key struct {
		trace.TraceID
		trace.SpanID
	}
	seen := map[key]struct{}{}
	for metadata := range all {
		of := contextOf(metadata)
		if !of.IsValid() {
			alone = false
			continue
		}
		k := key{of.TraceID(), of.SpanID()}
		if _, before := seen[k]; before {
			continue
		}
		if len(links) == MaxLinks {
			break
		}
		seen[k] = struct{}{}
		links = append(links, trace.Link{SpanContext: of})
	}
	if alone && len(links) == 1 {
		return links[0].SpanContext, nil
	}
	return trace.SpanContext{}, links
}

// contextOf returns the span that metadata names.
func contextOf(metadata eventsourced.Metadata) trace.SpanContext {
	if metadata[eventsourced.MetaTraceParent] == "" {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier(metadata))
	return trace.SpanContextFromContext(ctx)
}

// carry has new events under ctx name its span.
func carry(ctx context.Context) context.Context {
	metadata := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, metadata)
	if len(metadata) == 0 {
		return ctx
	}
	return eventsourced.WithTrace(ctx, eventsourced.Metadata(metadata))
}

func end(span trace.Span, at eventsourced.Position, err error) {
	if at > 0 {
		span.SetAttributes(attribute.Int64("eventlog.position", int64(at)))
	}
	if err != nil {
		span.SetStatus(codes.Error, kindOf(err))
	}
	span.End()
}

// kindOf says what kind of error it is: its text may have what is in an event, or a stream's id.
func kindOf(err error) string {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return strings.TrimSpace("SQLSTATE " + server.Code + " " + server.ConstraintName)
	}
	for {
		switch wraps := err.(type) { //nolint:errorlint // what is wrapped is looked for
		case interface{ Unwrap() error }:
			if inner := wraps.Unwrap(); inner != nil {
				err = inner
				continue
			}
		case interface{ Unwrap() []error }:
			if inner := wraps.Unwrap(); len(inner) > 0 {
				err = inner[0]
				continue
			}
		}
		break
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err.Error()
	}
	return fmt.Sprintf("%T", err)
}
