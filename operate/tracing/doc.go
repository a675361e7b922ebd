// Package tracing makes OpenTelemetry spans of what a log and its consumers do, so that a trace goes on
// from a request through the append, in the event's metadata, to all that follows from the event, in this
// process or another one: the page of a projection that applied it, the relay's message, the remote
// projection, and the command of a reactor. A program makes one [Tracing], and gives it to the log's store and
// to all consumers as their tracer:
//
//	t := tracing.New(otel.GetTracerProvider(), tracing.Config{})
//	store := pgstore.New(pool, registry, pgstore.Config{Tracer: t})
//	manager, err := readview.NewManager(router, store, pool, readview.Config{Config: consumer.Config{Tracer: t}})
//
// Where spans go, and which of them, is the provider's; this package needs only the API of OpenTelemetry,
// and programs that don't import it none of that.
//
//	span                        kind      parent, or links                     one for each
//	append AGGREGATE            producer  the span of its context              Append, AppendTx
//	apply PROJECTION            consumer  the appends of its events            transaction of a page, also one that fails
//	publish TOPIC               producer  the appends of its events            group of a relay's messages
//	react REACTOR               consumer  the append of the event              call of a reaction: each is a try of its own
//	deliver GROUP TOPIC         consumer  the append of the event              message that a subscriber hands out
//	handle EVENT                internal  its page, with a link to the append  event of a page, with [Config.Events]
//
// An event has the traceparent of its append in its metadata, as W3C's Trace Context has it, and so has a message. An append
// whose context has no span, such as that of a program that only copies the header of its requests into the metadata
// ([eventsourced.WithTrace]), goes on with the trace that its events have. What is done because of one append is a child
// of it. Where the events of many appends meet, in a page or a group of messages, the span begins a trace and has
// links to them, up to [MaxLinks]: a sampler that wants to keep those of the appends it keeps looks at the links.
//
// In a handler and a reaction the context has the span, so that what is done there is in it: calls of others, statements
// of a traced pool, appends.
//
// Attributes, none of which is from a payload, nor a stream's id, which may be a person's:
//
//	eventlog.aggregate                 of an append
//	eventlog.event_names               of an append, up to 10
//	eventlog.events                    how many
//	eventlog.position                  of the last event, or up to where everything is done: the admin page finds it
//	eventlog.outcome                   of an append: "appended", "conflict" or "error"
//	consumer.kind, consumer.name, consumer.topic
//
// A conflict is no error, as most are followed by another try. The kind of an error is the span's status: its SQLSTATE and constraint,
// or its type. The text, which may have anything in it, stands in the program's log and in the consumer's status.
package tracing
