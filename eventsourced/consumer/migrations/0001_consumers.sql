-- Where each reactor, relay and consumer group stands, and who is active.
CREATE TABLE consumers (
	name         TEXT        NOT NULL,               -- of the reactor, the relay or the consumer group
	topic        TEXT        NOT NULL,               -- '$reactor', '$relay', or what a group subscribes to: an event name, or '$all'
	position     BIGINT      NOT NULL DEFAULT 0,     -- everything up to it is done
	node         TEXT        NOT NULL DEFAULT '',    -- who has the lease, or had it last
	lease_until  TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
	lease_length INTERVAL    NOT NULL DEFAULT '0',   -- a lease whose end is further away than this is none: the clock went back
	paused       BOOLEAN     NOT NULL DEFAULT false, -- by somebody
	stopped      BOOLEAN     NOT NULL DEFAULT false, -- by its failure
	ahead_at     BIGINT,                             -- where it was found to be ahead of the log: while it is there, nothing is handled

	error           TEXT,                            -- why it does not get on, until it does
	since           TIMESTAMPTZ,                     -- when that began
	attempts        BIGINT,                          -- how often it was tried since then
	tried_at        TIMESTAMPTZ,                     -- and when last
	next_at         TIMESTAMPTZ,                     -- when it is tried again, if that is known
	failed_event    UUID,                            -- which event it is about, if any
	failed_name     TEXT,
	failed_position BIGINT,

	PRIMARY KEY (name, topic)
);

-- The operator log: what somebody did to a consumer, written in the transaction that does it.
CREATE TABLE consumer_operations (
	id        BIGINT      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name      TEXT        NOT NULL,                             -- of the consumer
	topic     TEXT        NOT NULL,                             -- likewise
	command   TEXT        NOT NULL,                             -- pause, resume, skip, ...
	actor     TEXT        NOT NULL,
	arguments JSONB       NOT NULL DEFAULT '{}',
	outcome   TEXT        NOT NULL CHECK (outcome IN ('done', 'failed')),
	detail    TEXT        NOT NULL DEFAULT '',                  -- what came of it, or the error
	done_at   TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
