package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/operate/tracing"
	"github.com/dancefinder/eventsourcing/readview"
)

func TestPages(t *testing.T) {
	t.Parallel()
	t.Run("where events of many appends meet begin a trace, with links, and one span", func(t *testing.T) {
		t.Parallel()
		s := newSystem(t, migrated(testdb.New(t)), tracing.Config{})
		s.deposit(t.Context(), 1, 2)
		s.deposit(t.Context(), 3)
		last := s.deposit(t.Context(), 4)
		require.NoError(t, s.project(amounts("amounts")).WaitFor(t.Context(), last))
		pages := s.await("apply amounts", 1)
		require.Len(t, pages, 1)
		require.False(t, pages[0].Parent().IsValid())
		require.Equal(t, trace.SpanKindConsumer, pages[0].SpanKind())
		require.Equal(t, fmt.Sprint("projection amounts 4 ", int64(last)), strings.Join([]string{value(pages[0], "consumer.kind"),
			value(pages[0], "consumer.name"), value(pages[0], "eventlog.events"), value(pages[0], "eventlog.position")}, " "))
		var linked, appended []trace.SpanID
		for _, link := range pages[0].Links() {
			linked = append(linked, link.SpanContext.SpanID())
		}
		for _, span := range s.await("append bank.Account", 3) {
			appended = append(appended, span.SpanContext().SpanID())
		}
		require.Equal(t, appended, linked)
	})
	t.Run("have a span for each event if asked for, in which its handler runs", func(t *testing.T) {
		t.Parallel()
		s := newSystem(t, migrated(testdb.New(t)), tracing.Config{Events: true})
		s.deposit(t.Context(), 1)
		last := s.deposit(t.Context(), 2)
		within := make(chan trace.SpanID, 2)
		manager := s.project(readview.Projection{Name: "seen", Handlers: readview.Handlers{readview.On(
			func(ctx context.Context, _ readview.Tx, _ *bank.Deposited) error {
				within <- trace.SpanContextFromContext(ctx).SpanID()
				return nil
			})}})
		require.NoError(t, manager.WaitFor(t.Context(), last))
		appends, page := s.await("append bank.Account", 2), s.await("apply seen", 1)[0]
		for i, span := range s.await("handle Deposited", 2) {
			require.Equal(t, page.SpanContext().SpanID(), span.Parent().SpanID())
			require.Equal(t, <-within, span.SpanContext().SpanID())
			require.Len(t, span.Links(), 1)
			require.Equal(t, appends[i].SpanContext().SpanID(), span.Links()[0].SpanContext.SpanID())
		}
	})
	t.Run("that fail say so, and what was applied before is a page", func(t *testing.T) {
		t.Parallel()
		s := newSystem(t, migrated(testdb.New(t)), tracing.Config{})
		s.deposit(t.Context(), 1)
		s.deposit(t.Context(), 2)
		s.deposit(t.Context(), 13)
		s.project(amounts("amounts"))
		var tries []string
		for _, page := range s.await("apply amounts", 4)[:4] { // the event is tried again, too
			tries = append(tries, value(page, "eventlog.events")+" "+page.Status().Code.String())
			require.Equal(t, page.Status().Code == codes.Error, value(page, "eventlog.position") == "-")
			require.Equal(t, page.Status().Code == codes.Error, strings.Contains(page.Status().Description, "amount_check"))
		}
		require.Equal(t, []string{"3 Error", "3 Error", "2 Unset", "1 Error"}, tries, "together, one by one, what is before, the event alone")
	})
	t.Run("end, too, if a handler ends its goroutine", func(t *testing.T) {
		t.Parallel()
		s := newSystem(t, migrated(testdb.New(t)), tracing.Config{Events: true})
		s.deposit(t.Context(), 1)
		s.project(readview.Projection{Name: "gone", Handlers: readview.Handlers{readview.On(
			func(context.Context, readview.Tx, *bank.Deposited) error { runtime.Goexit(); return nil })}})
		require.Equal(t, codes.Error, s.await("apply gone", 1)[0].Status().Code)
		require.Equal(t, codes.Error, s.await("handle Deposited", 1)[0].Status().Code)
	})
}

func TestLinks(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	limits := sdk.NewSpanLimits()
	limits.LinkCountLimit = -1
	tracer := tracing.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(spans), sdk.WithRawSpanLimits(limits)), tracing.Config{})
	of := func(n int) eventsourced.Metadata {
		return eventsourced.Metadata{eventsourced.MetaTraceParent: fmt.Sprintf("00-%032x-%016x-01", n, n)}
	}
	for _, c := range []struct {
		name   string
		causes []eventsourced.Metadata
		links  int
		parent bool
	}{
		{"there is none", nil, 0, false},
		{"all are of one", []eventsourced.Metadata{of(1), of(1)}, 0, true},
		{"one has no trace", []eventsourced.Metadata{of(1), nil}, 1, false},
		{"one has what is no trace", []eventsourced.Metadata{of(1), {eventsourced.MetaTraceParent: "00-1"}}, 1, false},
		{"there are two", []eventsourced.Metadata{of(1), of(2), of(1)}, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, end := tracer.Handling(t.Context(), consumer.Handling{Causes: slices.Values(c.causes)})
			end(0, nil)
			last := spans.Ended()[len(spans.Ended())-1]
			require.Len(t, last.Links(), c.links)
			require.Equal(t, c.parent, last.Parent().IsValid())
		})
	}
	t.Run("there are more than fit", func(t *testing.T) {
		asked := 0
		_, end := tracer.Handling(t.Context(), consumer.Handling{Causes: func(yield func(eventsourced.Metadata) bool) {
			for asked = 1; yield(of(asked)); asked++ {
			}
		}})
		end(0, nil)
		require.Len(t, spans.Ended()[len(spans.Ended())-1].Links(), tracing.MaxLinks)
		require.Equal(t, tracing.MaxLinks+1, asked)
	})
}

func TestReactions(t *testing.T) {
	t.Parallel()
	s := newSystem(t, migrated(testdb.New(t)), tracing.Config{})
	failed := false
	it, err := reactor.New(s.store, s.Pool, reactor.Config{Config: s.config, Name: "audit"}, reactor.OnTx(
		func(ctx context.Context, tx pgx.Tx, _ *bank.Deposited) error {
			if !failed {
				failed = true
				return errors.New("the first time")
			}
			_, err := s.accounts.UpdateTx(ctx, s.store.Tx(tx), "auditor", func(a *bank.Account) error { return eventsourced.Record(a, &bank.Audited{}) })
			return err
		}))
	require.NoError(t, err)
	s.run(it.Run)
	s.deposit(t.Context(), 1)
	tries := s.await("react audit", 2)
	require.Equal(t, "*errors.errorString", tries[0].Status().Description, "its text may have anything in it")
	require.Equal(t, codes.Unset, tries[1].Status().Code)
	appends := s.await("append bank.Account", 2)
	require.Equal(t, appends[0].SpanContext().SpanID(), tries[1].Parent().SpanID())
	require.Equal(t, tries[1].SpanContext().SpanID(), appends[1].Parent().SpanID())
	require.Equal(t, parent(appends[1].SpanContext()), s.events()[1].Metadata[eventsourced.MetaTraceParent])
}

// refusing is a publisher that refuses the first time.
type refusing struct{ calls chan []*message.Message }

func (r refusing) Publish(_ string, messages ...*message.Message) error {
	r.calls <- messages
	if len(r.calls) == 1 {
		return errors.New("the broker is away")
	}
	return nil
}

func (r refusing) Close() error { return nil }

func TestRelay(t *testing.T) {
	t.Parallel()
	s := newSystem(t, migrated(testdb.New(t)), tracing.Config{})
	s.deposit(t.Context(), 1)
	s.deposit(t.Context(), 2)
	broker := refusing{make(chan []*message.Message, 100)}
	it, err := relay.New(s.store, s.Pool, broker, relay.Config{Config: s.config, Topic: func(eventsourced.Recorded) string { return "bank" }})
	require.NoError(t, err)
	s.run(it.Run)
	groups := s.await("publish bank", 2)
	require.NotEmpty(t, groups[0].Status().Description)
	require.NotContains(t, groups[0].Status().Description, "the broker is away")
	require.Len(t, groups[0].Links(), 2)
	require.Equal(t, codes.Unset, groups[1].Status().Code)
	require.Equal(t, "relay bank", value(groups[1], "consumer.kind")+" "+value(groups[1], "consumer.topic"))
	for i, msg := range <-broker.calls {
		require.Equal(t, s.events()[i].Metadata[eventsourced.MetaTraceParent], msg.Metadata[eventsourced.MetaTraceParent])
	}
}

func TestSubscriber(t *testing.T) {
	t.Parallel()
	s := newSystem(t, migrated(testdb.New(t)), tracing.Config{})
	subscriber, err := messaging.NewSubscriber(s.store, nil, messaging.SubscriberConfig{Config: s.config})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, subscriber.Close()) })
	messages, err := subscriber.Subscribe(t.Context(), "Deposited")
	require.NoError(t, err)
	s.deposit(t.Context(), 1)
	(<-messages).Nack()
	msg := <-messages
	within := trace.SpanContextFromContext(msg.Context())
	msg.Ack()
	tries := s.await("deliver Deposited", 2)
	require.Equal(t, codes.Error, tries[0].Status().Code)
	require.Equal(t, codes.Unset, tries[1].Status().Code)
	require.Equal(t, within.SpanID(), tries[1].SpanContext().SpanID())
	require.Equal(t, s.await("append bank.Account", 1)[0].SpanContext().SpanID(), tries[1].Parent().SpanID())
}
