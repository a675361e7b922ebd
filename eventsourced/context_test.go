package eventsourced_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// metadata returns what an event gets that is made under ctx.
func metadata(ctx context.Context, t *testing.T) eventsourced.Metadata {
	t.Helper()
	encoded, err := accountRegistry(t).Encode(ctx, &Deposited{})
	require.NoError(t, err)
	return encoded[0].Metadata
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	t.Run("is nil without any", func(t *testing.T) {
		t.Parallel()
		require.Nil(t, metadata(t.Context(), t))
	})
	t.Run("has what the context was given", func(t *testing.T) {
		t.Parallel()
		ctx := eventsourced.WithCorrelation(t.Context(), "request-1")
		ctx = eventsourced.WithCausation(ctx, "command-1")
		ctx = eventsourced.WithActor(ctx, "åsa")
		ctx = eventsourced.WithMetadata(ctx, "source", "import")
		require.Equal(t, eventsourced.Metadata{
			"correlation_id": "request-1", "causation_id": "command-1", "actor": "åsa", "source": "import",
		}, metadata(ctx, t))
	})
	t.Run("takes the last value of a key", func(t *testing.T) {
		t.Parallel()
		ctx := eventsourced.WithActor(eventsourced.WithActor(t.Context(), "åsa"), "bo")
		require.Equal(t, eventsourced.Metadata{"actor": "bo"}, metadata(ctx, t))
	})
	t.Run("is not shared between contexts of one parent", func(t *testing.T) {
		t.Parallel()
		parent := eventsourced.WithCorrelation(t.Context(), "request-1")
		first := eventsourced.WithActor(parent, "åsa")
		second := eventsourced.WithMetadata(parent, "source", "import")
		require.Equal(t, eventsourced.Metadata{"correlation_id": "request-1"}, metadata(parent, t))
		require.Equal(t, eventsourced.Metadata{"correlation_id": "request-1", "actor": "åsa"}, metadata(first, t))
		require.Equal(t, eventsourced.Metadata{"correlation_id": "request-1", "source": "import"}, metadata(second, t))
	})
	t.Run("reaches the log by way of a repository", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		ctx := eventsourced.WithActor(t.Context(), "åsa")
		_, err := newRepository(store).Update(ctx, accountID, func(a *Account) error { return errors.Join(a.Deposit(1), a.Deposit(2)) })
		require.NoError(t, err)
		events := stored(t, store)
		require.Len(t, events, 2)
		for _, event := range events {
			require.Equal(t, eventsourced.Metadata{"actor": "åsa"}, event.Metadata)
		}
	})
}

func TestWithRecorded(t *testing.T) {
	t.Parallel()
	recorded := func(metadata eventsourced.Metadata) *eventsourced.Recorded {
		event := recordedAs("Deposited", 1, `{}`)
		event.Metadata = metadata
		return &event
	}
	t.Run("gives the handler its event", func(t *testing.T) {
		t.Parallel()
		event := recorded(nil)
		require.Same(t, event, eventsourced.FromContext(eventsourced.WithRecorded(t.Context(), event)))
		require.Nil(t, eventsourced.FromContext(t.Context()))
	})
	t.Run("makes the event the cause and hands its correlation down", func(t *testing.T) {
		t.Parallel()
		event := recorded(eventsourced.Metadata{"correlation_id": "request-1", "causation_id": "command-1", "actor": "åsa"})
		require.Equal(t, eventsourced.Metadata{"correlation_id": "request-1", "causation_id": event.ID.String()},
			metadata(eventsourced.WithRecorded(t.Context(), event), t), "the actor is not handed down")
		require.Equal(t, "command-1", event.Metadata["causation_id"], "the event itself does not change")
	})
	t.Run("hands the trace down, unless the context has one", func(t *testing.T) {
		t.Parallel()
		event := recorded(eventsourced.Metadata{"correlation_id": "c", "traceparent": "00-1", "tracestate": "a=b"})
		ctx := eventsourced.WithRecorded(t.Context(), event)
		require.Equal(t, eventsourced.Metadata{"correlation_id": "c", "causation_id": event.ID.String(), "traceparent": "00-1", "tracestate": "a=b"}, metadata(ctx, t))
		own := eventsourced.WithMetadata(ctx, eventsourced.MetaTraceParent, "00-2")
		require.Equal(t, eventsourced.Metadata{"correlation_id": "c", "causation_id": event.ID.String(), "traceparent": "00-2"}, metadata(own, t))
	})
	t.Run("takes a trace, with all that belongs to it, in the place of another", func(t *testing.T) {
		t.Parallel()
		ctx := eventsourced.WithActor(eventsourced.WithTrace(t.Context(), eventsourced.Metadata{"traceparent": "00-1", "tracestate": "a=b", "actor": "no"}), "anna")
		require.Equal(t, eventsourced.Metadata{"actor": "anna", "traceparent": "00-1", "tracestate": "a=b"}, metadata(ctx, t))
		require.Equal(t, eventsourced.Metadata{"actor": "anna", "traceparent": "00-2"}, metadata(eventsourced.WithTrace(ctx, eventsourced.Metadata{"traceparent": "00-2"}), t))
	})
	t.Run("gives encoded events its trace", func(t *testing.T) {
		t.Parallel()
		ctx := eventsourced.WithTrace(eventsourced.WithActor(t.Context(), "not this"), eventsourced.Metadata{"traceparent": "00-2"})
		full := eventsourced.Metadata{"text": strings.Repeat("x", eventsourced.MaxMetadata-len("text"))}
		events := []eventsourced.EventData{{Metadata: eventsourced.Metadata{"actor": "anna", "traceparent": "00-1", "tracestate": "a=b"}}, {}, {Metadata: full}}
		traced := eventsourced.Traced(ctx, events)
		require.Equal(t, []eventsourced.EventData{{Metadata: eventsourced.Metadata{"actor": "anna", "traceparent": "00-2"}},
			{Metadata: eventsourced.Metadata{"traceparent": "00-2"}}, {Metadata: full}}, traced, "but not one that has no room for it")
		require.Equal(t, "00-1", events[0].Metadata["traceparent"], "what was given is not changed")
		require.Len(t, full, 1)
		require.Equal(t, events, eventsourced.Traced(t.Context(), events))
	})
	t.Run("starts a chain at an event without a correlation", func(t *testing.T) {
		t.Parallel()
		event := recorded(nil)
		require.Equal(t, eventsourced.Metadata{"correlation_id": event.ID.String(), "causation_id": event.ID.String()},
			metadata(eventsourced.WithRecorded(t.Context(), event), t))
	})
	t.Run("gives way to what the context says itself, before or after", func(t *testing.T) {
		t.Parallel()
		event := recorded(eventsourced.Metadata{"correlation_id": "request-1"})
		before := eventsourced.WithRecorded(eventsourced.WithCorrelation(t.Context(), "mine"), event)
		require.Equal(t, eventsourced.Metadata{"correlation_id": "mine", "causation_id": event.ID.String()}, metadata(before, t))
		after := eventsourced.WithActor(eventsourced.WithCausation(eventsourced.WithRecorded(t.Context(), event), "mine"), "robot")
		require.Equal(t, eventsourced.Metadata{"correlation_id": "request-1", "causation_id": "mine", "actor": "robot"}, metadata(after, t))
	})
	t.Run("keeps a chain together over three events", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		ctx := t.Context()
		for range 3 {
			_, err := newRepository(store).Update(ctx, accountID, depositing(1))
			require.NoError(t, err)
			events := stored(t, store)
			ctx = eventsourced.WithRecorded(t.Context(), &events[len(events)-1])
		}
		events := stored(t, store)
		require.Nil(t, events[0].Metadata)
		first := events[0].ID.String()
		require.Equal(t, eventsourced.Metadata{"correlation_id": first, "causation_id": first}, events[1].Metadata)
		require.Equal(t, eventsourced.Metadata{"correlation_id": first, "causation_id": events[1].ID.String()}, events[2].Metadata)
	})
}
