package tracing_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/operate/tracing"
)

// parent is the traceparent of a span.
func parent(of trace.SpanContext) string {
	return fmt.Sprintf("00-%s-%s-%s", of.TraceID(), of.SpanID(), of.TraceFlags())
}

const request = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestAppends(t *testing.T) {
	t.Parallel()
	db := migrated(testdb.New(t))
	s := newSystem(t, db, tracing.Config{})

	t.Run("is a span of the request, whatever the number of its events, and they name it", func(t *testing.T) {
		ctx, span := s.provider.Tracer("").Start(t.Context(), "request")
		at := s.deposit(ctx, 1, 2)
		appends := s.await("append bank.Account", 1)
		require.Len(t, appends, 1)
		require.Equal(t, span.SpanContext().SpanID(), appends[0].Parent().SpanID())
		require.Equal(t, trace.SpanKindProducer, appends[0].SpanKind())
		require.Equal(t, `2 ["Deposited"] bank.Account appended `+fmt.Sprint(int64(at)), strings.Join([]string{value(appends[0], "eventlog.events"),
			value(appends[0], "eventlog.event_names"), value(appends[0], "eventlog.aggregate"), value(appends[0], "eventlog.outcome"), value(appends[0], "eventlog.position")}, " "))
		for _, event := range s.events() {
			require.Equal(t, parent(appends[0].SpanContext()), event.Metadata[eventsourced.MetaTraceParent])
		}
	})
	t.Run("goes on with the trace that its events have, if its context has no span", func(t *testing.T) {
		s := newSystem(t, db, tracing.Config{})
		s.deposit(eventsourced.WithTrace(t.Context(), eventsourced.Metadata{eventsourced.MetaTraceParent: request, eventsourced.MetaTraceState: "vendor=1"}), 3)
		span := s.await("append bank.Account", 1)[0]
		require.Equal(t, request, parent(span.Parent()))
		last := s.events()[len(s.events())-1]
		require.Equal(t, parent(span.SpanContext()), last.Metadata[eventsourced.MetaTraceParent])
		require.Equal(t, "vendor=1", last.Metadata[eventsourced.MetaTraceState])
	})
	t.Run("is no error if there is a conflict, and one if it is refused", func(t *testing.T) {
		s := newSystem(t, db, tracing.Config{})
		events, err := bank.Registry().Encode(t.Context(), &bank.Audited{})
		require.NoError(t, err)
		stream := eventsourced.Stream{AggregateName: "other", AggregateID: "1"}
		_, err = s.store.Append(t.Context(), stream, eventsourced.StreamExists, events)
		require.ErrorIs(t, err, eventsourced.ErrConflict)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = s.store.Append(ended, stream, eventsourced.Any, events)
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, events[0].Metadata, "what was given is not changed")
		spans := s.await("append other", 2)
		require.Equal(t, "conflict", value(spans[0], "eventlog.outcome"))
		require.Equal(t, codes.Unset, spans[0].Status().Code)
		require.Equal(t, "error", value(spans[1], "eventlog.outcome"))
		require.Equal(t, codes.Error, spans[1].Status().Code)
	})
	t.Run("that is not sampled hands its trace on all the same", func(t *testing.T) {
		s := newSystem(t, db, tracing.Config{}, sdk.WithSampler(sdk.NeverSample()))
		s.deposit(eventsourced.WithTrace(t.Context(), eventsourced.Metadata{eventsourced.MetaTraceParent: request}), 4)
		got := s.events()[len(s.events())-1].Metadata[eventsourced.MetaTraceParent]
		require.Equal(t, request[:35], got[:35])
		require.Equal(t, "-00", got[52:])
	})
	t.Run("without a provider hands on what it was given", func(t *testing.T) {
		s.use(tracing.New(noop.NewTracerProvider(), tracing.Config{}))
		s.deposit(eventsourced.WithTrace(t.Context(), eventsourced.Metadata{eventsourced.MetaTraceParent: request}), 5)
		require.Equal(t, request, s.events()[len(s.events())-1].Metadata[eventsourced.MetaTraceParent])
	})
}

func TestWithoutAProvider(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, "tracing.New: the provider is nil", func() { tracing.New(nil, tracing.Config{}) })
}
