-- Where each consumer group stands in the events of a topic, and who is active.
CREATE TABLE consumers (
	name        TEXT        NOT NULL,             -- the consumer group
	topic       TEXT        NOT NULL,             -- an event name, or '$all'
	position    BIGINT      NOT NULL DEFAULT 0,   -- everything up to it is done
	node        TEXT        NOT NULL DEFAULT '',
	lease_until TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
	PRIMARY KEY (name, topic)
);
