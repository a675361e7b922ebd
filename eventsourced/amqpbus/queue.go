package amqpbus

import amqp "github.com/rabbitmq/amqp091-go"

// Queue returns the name of the queue for a topic: "topic.group".
func (s *Subscriber) Queue(topic string) string { return topic + "." + s.config.Group }

// DeadLetterQueue returns the name of the queue for what could not be handled, see
// [SubscriberConfig.Attempts].
func (s *Subscriber) DeadLetterQueue(topic string) string { return s.Queue(topic) + deadSuffix }

const deadSuffix = ".dead"

// queueID is a queue at a broker.
type queueID struct{ urls, queue string }

// declare makes what [SubscriberConfig.Declare] says, and looks whether the rest is there.
func (s *Subscriber) declare(conn *amqp.Connection, channel *amqp.Channel, topic string) error {
	queue, dead := s.Queue(topic), s.DeadLetterQueue(topic)
	if s.config.Declare == DeclareNothing {
		_, err := channel.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err == nil && s.config.Attempts > 0 {
			_, err = channel.QueueDeclarePassive(dead, true, false, false, false, nil)
		}
		return err
	}
	if s.config.temporary {
		_, err := channel.QueueDeclare(queue, true, false, false, false, s.config.arguments(major(conn), false))
		return err
	}
	if err := declareExchange(channel, topic, s.config.Declare != DeclareAll); err != nil {
		return err
	}
	if s.config.Attempts > 0 {
		if _, err := channel.QueueDeclare(dead, true, false, false, false, s.config.arguments(major(conn), true)); err != nil {
			return err
		}
	}
	if _, err := channel.QueueDeclare(queue, true, false, false, false, s.config.arguments(major(conn), s.config.Competing)); err != nil {
		return err
	}
	return s.bind(channel, queue, topic)
}

func (s *Subscriber) bind(channel *amqp.Channel, queue, topic string) error {
	for _, key := range s.config.Bindings {
		if err := channel.QueueBind(queue, key, topic, false, nil); err != nil {
			return err
		}
	}
	return nil
}

// noLimit is from which RabbitMQ on a quorum queue drops what was delivered 20 times,
// unless it is told not to. Those before know no such limit by default, nor -1.
const noLimit = 4

// arguments are those of a queue, for a broker of a version.
func (c SubscriberConfig) arguments(major int, competing bool) amqp.Table {
	arguments := amqp.Table{"x-queue-type": string(c.QueueType)}
	if c.QueueType == Quorum && major >= noLimit {
		arguments["x-delivery-limit"] = -1
	}
	if c.temporary {
		arguments["x-expires"] = answersLeft.Milliseconds()
	}
	if !competing {
		arguments["x-single-active-consumer"] = true
	}
	return arguments
}
