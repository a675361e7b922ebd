-- Events of another context that have come and that a reactor has not handled yet, or has parked.
CREATE TABLE inbox_events (
	name           TEXT        NOT NULL, -- the reactor
	position       BIGINT      NOT NULL, -- in the other context's log
	n              BIGINT      GENERATED ALWAYS AS IDENTITY, -- the order of the parts of one event
	id             UUID        NOT NULL,
	event_name     TEXT        NOT NULL,
	schema_version INT         NOT NULL,
	aggregate_name TEXT        NOT NULL,
	aggregate_id   TEXT        NOT NULL,
	version        BIGINT      NOT NULL,
	occurred_at    TIMESTAMPTZ NOT NULL,
	payload        JSON        NOT NULL,
	metadata       JSON        NOT NULL,
	tags           JSON        NOT NULL,
	PRIMARY KEY (name, position, id)
);
