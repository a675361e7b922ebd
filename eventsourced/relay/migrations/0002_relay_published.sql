-- Events that a relay leaves out, live and in history, because somebody said so.
CREATE TABLE relay_skips (
	name       TEXT        NOT NULL, -- the relay
	position   BIGINT      NOT NULL, -- of the event
	event      UUID        NOT NULL,
	event_name TEXT        NOT NULL,
	error      TEXT        NOT NULL, -- why it could not leave
	reason     TEXT        NOT NULL, -- for leaving it out
	skipped_by TEXT        NOT NULL,
	skipped_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (name, position)
);

-- What a relay publishes, each time that it changed.
CREATE TABLE relay_published (
	id       BIGINT      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name     TEXT        NOT NULL, -- the relay
	position BIGINT      NOT NULL, -- it holds for live messages above it
	names    TEXT[]      NOT NULL, -- of the events, sorted; '{}' is all
	revision BIGINT      NOT NULL, -- of their translation
	since    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
