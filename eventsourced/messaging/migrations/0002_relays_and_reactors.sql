-- Why a relay or a reactor does not get on, until it does; and whether a reactor
-- was stopped by it.
ALTER TABLE consumers
	ADD COLUMN stopped         BOOLEAN     NOT NULL DEFAULT false,
	ADD COLUMN error           TEXT,
	ADD COLUMN failed_at       TIMESTAMPTZ,
	ADD COLUMN failed_event    UUID,
	ADD COLUMN failed_name     TEXT,
	ADD COLUMN failed_position BIGINT;

-- The position of the last message that a relay has sent to a topic. That of the
-- topic '' is where the relay began, and that of '$relay' is its position when it
-- saved these: if it differs from the one in consumers, somebody has set that.
CREATE TABLE relay_topics (
	name     TEXT   NOT NULL,  -- the relay
	topic    TEXT   NOT NULL,
	position BIGINT NOT NULL,
	PRIMARY KEY (name, topic)
);

-- Events that a reactor has put aside because it could not handle them.
CREATE TABLE parked_events (
	name       TEXT        NOT NULL,                -- the reactor
	position   BIGINT      NOT NULL,                -- of the event in the log
	event_id   UUID        NOT NULL,
	event_name TEXT        NOT NULL,
	error      TEXT        NOT NULL,                -- of the last attempt
	parked_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
	due        BOOLEAN     NOT NULL DEFAULT false,  -- to be tried again
	PRIMARY KEY (name, position)
);
