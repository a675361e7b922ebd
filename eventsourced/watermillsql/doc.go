// Package watermillsql lets the Subscriber of watermill-sql consume the log: for
// existing Watermill applications, whose consumers take an event at least once. An
// [Adapter] is what that Subscriber needs.
//
//	adapter, err := watermillsql.NewAdapter(store.Registry(), watermillsql.Config{})
//	subscriber, err := sql.NewSubscriber(stdlib.OpenDBFromPool(pool), sql.SubscriberConfig{
//		ConsumerGroup:  "mails",
//		SchemaAdapter:  adapter,
//		OffsetsAdapter: adapter,
//	}, logger)
//	messages, err := subscriber.Subscribe(ctx, "AccountOpened")
//
// The tables come from pgstore.Migrations and consumer.Migrations. A topic is the name
// of an event, or [messaging.AllEvents]; watermill-sql has none with other characters
// than letters, digits and -$:._ in it. Messages are those of [messaging.Subscriber],
// in the order of the log, but for their context, which does not have the event:
// [messaging.Unmarshal] makes it of the message.
//
// A new application has a better Subscriber in package messaging: it holds no
// transaction while a handler runs, is woken by appends, waits longer and longer
// after a Nack, and lets a handler finish before it closes.
//
// # Why projections don't use it
//
// The Subscriber reads a page of events, sends them one by one, and moves the
// position, in one transaction, which handlers may write in: sql.TxFromContext. That
// looks like exactly once, and it is not:
//
//	what happens                               what the read view then has
//	a handler writes, fails, is nacked         the writes of the failed attempt: three Nacks and an Ack leave four rows
//	AckDeadline passes while a handler writes  what it has written so far, and all of it again in the next attempt
//	the Subscriber is closed meanwhile         the same
//	a statement of a handler fails             nothing of the page: the transaction is dead, and every attempt
//	                                           in it fails until AckDeadline, 30 seconds by default
//	the commit fails                           nothing of the page; it comes again, and the error is only logged
//
// All are of one kind. A Nack does not roll back, because the transaction belongs to
// the Subscriber and holds more than the nacked message. Package readview gives each
// attempt a transaction of its own, with the position in it, and so one row, also
// after three failures: TestFourRows has both side by side.
//
// So a handler of this Subscriber leaves its transaction alone. What it does, it does
// by itself (mails, calls of other services, a transaction of its own), and does not
// mind doing twice.
//
// # Positions
//
// The position of a consumer group is in the table consumers of package consumer,
// by group and topic. Its row is locked, and a connection of the pool taken, while
// the messages of a page are handled, so of several subscribers of one group and
// topic one is active. The others don't wait for the lock: they look again after the
// PollInterval of the Subscriber. A [messaging.Subscriber] of the group takes over
// between two pages, and is not disturbed while it has the lease: a group may change
// from one kind to the other while both run.
//
//	failure                                what happens
//	the process dies                       the server ends its transaction; the page comes again, to whoever is next
//	the connection is lost                 the same, after the RetryInterval of the Subscriber
//	a message is nacked                    it comes again after the ResendInterval, before any other
//	an event can't be made a message       it and its page wait until that is cured; the Subscriber logs why.
//	                                       One that was split, or is nothing any more, never can: watermill-sql has
//	                                       one message a row; use a messaging.Subscriber
//	the log was restored from a backup,    Subscribe fails and says so, if the position is above the log's
//	  or is another one                      head; a Subscriber that runs does not notice
//	somebody sets the position in          their statement waits for the page that is being handled, and counts
//	  the table                              from the next one on
//
// # Publishing
//
// The Publisher of watermill-sql is refused, with [ErrPublish]: a plain INSERT would
// not take its turn in the order of the log, and consumers would miss the event. To
// publish is what [messaging.Publisher] is for.
package watermillsql
