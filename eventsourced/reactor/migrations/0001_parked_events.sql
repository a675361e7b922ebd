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
