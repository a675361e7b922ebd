package amqpbus

import (
	"context"
	"fmt"
	"maps"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// forwarder sends deliveries on to a queue, as they came.
type forwarder struct {
	channel *amqp.Channel
	returns chan amqp.Return
	queue   string
}

// newForwarder puts a channel into confirm mode.
func newForwarder(channel *amqp.Channel, queue string) (*forwarder, error) {
	if err := channel.Confirm(false); err != nil {
		return nil, err
	}
	return &forwarder{channel, channel.NotifyReturn(make(chan amqp.Return, inFlight)), queue}, nil
}

// forward returns nil when the queue has all deliveries, in order. They are not acked.
func (f *forwarder) forward(ctx context.Context, deliveries ...amqp.Delivery) error {
	confirms := make([]*amqp.DeferredConfirmation, len(deliveries))
	for i, delivery := range deliveries {
		var err error
		if confirms[i], err = f.channel.PublishWithDeferredConfirmWithContext(ctx, "", f.queue, true, false, publishing(delivery)); err != nil {
			return err
		}
	}
	for _, confirm := range confirms {
		if acked, err := confirm.WaitContext(ctx); err != nil || !acked {
			return fmt.Errorf("%w: %w", ErrNotConfirmed, orCause(ctx, err))
		}
	}
	select {
	case <-f.returns:
		return fmt.Errorf("%s: %w", f.queue, ErrUnroutable)
	default:
		return nil
	}
}

// publishing is a delivery to be published again, without the traces of how it came.
func publishing(d amqp.Delivery) amqp.Publishing {
	headers := maps.Clone(d.Headers)
	for _, name := range append([]string{"CC", "BCC", "x-delivery-count", "x-acquired-count"}, deadHeaders...) {
		delete(headers, name)
	}
	return amqp.Publishing{
		Headers: headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, DeliveryMode: amqp.Persistent,
		Priority: d.Priority, CorrelationId: d.CorrelationId, ReplyTo: d.ReplyTo, Expiration: d.Expiration,
		MessageId: d.MessageId, Timestamp: d.Timestamp, Type: d.Type, AppId: d.AppId, Body: d.Body,
	}
}

// moveIdle is how long a queue that has messages may deliver none.
const moveIdle = 30 * time.Second

// move moves what is in a queue to another one, in order, until it is empty. It returns how many it moved.
func move(ctx context.Context, conn *amqp.Connection, from, to string) (moved int, err error) {
	for {
		channel, err := conn.Channel()
		if err != nil {
			return moved, err
		}
		state, err := channel.QueueDeclarePassive(from, true, false, false, false, nil)
		if err != nil || state.Messages == 0 {
			_ = channel.Close()
			return moved, err
		}
		n, err := moveSome(ctx, channel, from, to, state.Messages)
		if moved += n; err != nil {
			return moved, fmt.Errorf("move %s to %s: %w", from, to, err)
		}
		if err := channel.Close(); err != nil {
			return moved, err
		}
	}
}

// moveSome moves the first n messages.
func moveSome(ctx context.Context, channel *amqp.Channel, from, to string, n int) (moved int, err error) {
	out, err := newForwarder(channel, to)
	if err != nil {
		return 0, err
	}
	if err := channel.Qos(min(n, inFlight), 0, false); err != nil {
		return 0, err
	}
	deliveries, err := channel.Consume(from, "", false, false, false, false, nil)
	if err != nil {
		return 0, err
	}
	for n > 0 {
		batch, err := take(ctx, deliveries, min(n, inFlight/2))
		if err != nil {
			return moved, err
		}
		if err := out.forward(ctx, batch...); err != nil {
			return moved, err
		}
		if err := batch[len(batch)-1].Ack(true); err != nil {
			return moved, err
		}
		n, moved = n-len(batch), moved+len(batch)
	}
	return moved, nil
}

// take returns the next n deliveries.
func take(ctx context.Context, deliveries <-chan amqp.Delivery, n int) (batch []amqp.Delivery, err error) {
	idle := time.NewTimer(moveIdle)
	defer idle.Stop()
	for len(batch) < n {
		select {
		case delivery, open := <-deliveries:
			if !open {
				return nil, errLost
			}
			batch = append(batch, delivery)
			idle.Reset(moveIdle)
		case <-idle.C:
			return nil, fmt.Errorf("it has messages and delivers none: %w", ErrInUse)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return batch, nil
}
