package amqpbus_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
)

func TestUpgrade(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	config := consuming("g")
	config.Attempts = 1
	classic := newSubscriber(t, broker, config)
	messages := subscribe(t, classic, topic)
	publisher := newPublisher(t, broker)
	eventually(t, "it receives", func() bool { return classic.Problem() == nil })
	const before, after = 1500, 300
	sent := numbered(1 + before + after)
	require.NoError(t, publisher.Publish(topic, sent[:1+before]...))
	receive(t, messages).Nack()
	eventually(t, "it is a dead letter", func() bool {
		letters, err := classic.DeadLetters(t.Context(), topic, 0)
		require.NoError(t, err)
		return len(letters) == 1
	})
	config.QueueType = amqpbus.Quorum
	quorum := newSubscriber(t, broker, config)
	_, err := quorum.Upgrade(t.Context(), topic)
	require.ErrorIs(t, err, amqpbus.ErrInUse)
	require.NoError(t, classic.Close())
	eventually(t, "the broker has noticed that it is gone", func() bool {
		state, err := quorum.Inspect(t.Context(), topic)
		require.NoError(t, err)
		return state == amqpbus.QueueState{Queue: topic + ".g", There: true, Messages: before}
	})
	done, err := quorum.Upgrade(t.Context(), topic)
	require.NoError(t, err)
	require.Equal(t, amqpbus.Upgraded{Moved: before + 1}, done)
	state, err := quorum.Inspect(t.Context(), topic)
	require.NoError(t, err)
	require.Equal(t, amqpbus.QueueState{Queue: topic + ".g", There: true, AsWanted: true, Messages: before}, state)
	require.NoError(t, publisher.Publish(topic, sent[1+before:]...))
	letters, err := quorum.DeadLetters(t.Context(), topic, 0)
	require.NoError(t, err)
	require.Len(t, letters, 1)
	require.Equal(t, numbers(1 + before + after)[1:], receiveAll(t, subscribe(t, quorum, topic), before+after))
	_, err = newSubscriber(t, broker, consuming("nobody")).Upgrade(t.Context(), topic)
	require.ErrorIs(t, err, amqpbus.ErrUnroutable)
}

// Interrupted anywhere, under load, it is run again.
func TestUpgradeUnderLoad(t *testing.T) {
	t.Parallel()
	broker, topic := testamqp.URL(t), testamqp.Name(t, "topic")
	classic := newSubscriber(t, broker, consuming("g"))
	require.NoError(t, classic.SubscribeInitialize(topic))
	const first, rest = 1000, 1000
	sent := numbered(first + rest)
	publisher := newPublisher(t, broker)
	require.NoError(t, publisher.Publish(topic, sent[:first]...))
	published := make(chan error, 1)
	go func() {
		for i := first; i < first+rest; i += 10 {
			if err := publisher.Publish(topic, sent[i:i+10]...); err != nil {
				published <- err
				return
			}
		}
		published <- nil
	}()
	proxy := testamqp.NewProxy(t, broker)
	config := consuming("g")
	config.QueueType = amqpbus.Quorum
	quorum := newSubscriber(t, proxy.URL(broker), config)
	for range soak.Times(3, 50) {
		timer := time.AfterFunc(rand.N(400*time.Millisecond), proxy.Cut)
		_, err := quorum.Upgrade(t.Context(), topic)
		timer.Stop()
		if err == nil {
			break
		}
	}
	eventually(t, "it is upgraded, once the broker has noticed that the last try is gone", func() bool {
		_, err := quorum.Upgrade(t.Context(), topic)
		return err == nil
	})
	require.NoError(t, <-published)
	// Each comes, and after those before it but for a moment's.
	messages, seen, late := subscribe(t, quorum, topic), map[string]bool{}, 0
	for at := ""; len(seen) < len(sent); {
		msg := receive(t, messages)
		payload := string(msg.Payload)
		if at != "" && !seen[payload] && (len(payload) < len(at) || len(payload) == len(at) && strings.Compare(payload, at) < 0) {
			late++
		}
		seen[payload], at = true, payload
		msg.Ack()
	}
	require.Less(t, late, rest/4)
}
