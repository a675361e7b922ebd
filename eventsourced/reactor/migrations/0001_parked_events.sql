-- Events that a reactor has put aside because it could not handle them, and those of the same
-- streams that came after them: none of those is handled before.
CREATE TABLE parked_events (
	name           TEXT        NOT NULL,                -- the reactor
	position       BIGINT      NOT NULL,                -- of the event in the log
	event_id       UUID        NOT NULL,
	event_name     TEXT        NOT NULL,
	aggregate_name TEXT        NOT NULL,                -- its stream
	aggregate_id   TEXT        NOT NULL,
	error          TEXT,                                -- of the last try; none if it only waits for those before it
	tries          BIGINT      NOT NULL DEFAULT 0,
	parked_at      TIMESTAMPTZ NOT NULL DEFAULT now(),  -- or tried again
	due            BOOLEAN     NOT NULL DEFAULT false,  -- to be tried again
	PRIMARY KEY (name, position)
);
CREATE INDEX parked_events_stream ON parked_events (name, aggregate_name, aggregate_id, position);

-- What a reactor has handled above its position.
CREATE TABLE reactor_done (
	name     TEXT   NOT NULL,
	position BIGINT NOT NULL,
	PRIMARY KEY (name, position)
);

-- What a reactor, or somebody, has decided not to handle: the last ones.
CREATE TABLE reactor_skipped (
	name           TEXT        NOT NULL,
	position       BIGINT      NOT NULL,
	event_id       UUID        NOT NULL,
	event_name     TEXT        NOT NULL,
	aggregate_name TEXT        NOT NULL,
	aggregate_id   TEXT        NOT NULL,
	error          TEXT        NOT NULL,                -- why
	tries          BIGINT      NOT NULL DEFAULT 0,
	skipped_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
	PRIMARY KEY (name, position)
);
