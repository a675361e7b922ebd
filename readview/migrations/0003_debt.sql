-- More about the last failure.
ALTER TABLE readview_states
	ADD COLUMN failed_stack     TEXT,                       -- of a panic, or of a goroutine that was ended
	ADD COLUMN failed_statement TEXT,                       -- that the event's handler failed with
	ADD COLUMN failed_recorded  TEXT,                       -- the event as JSON, where no log has it
	ADD COLUMN parked           BIGINT NOT NULL DEFAULT 0,  -- rows in readview_parked
	ADD COLUMN skipped          BIGINT NOT NULL DEFAULT 0;  -- rows in readview_skipped

-- Events that were put aside because they could not be applied, and those of the same streams that
-- came after them: none of those is applied before.
CREATE TABLE readview_parked (
	name           TEXT        NOT NULL,               -- the projection
	position       BIGINT      NOT NULL,               -- of the event in the log
	event_id       UUID        NOT NULL,
	event_name     TEXT        NOT NULL,
	aggregate_name TEXT        NOT NULL,               -- its stream
	aggregate_id   TEXT        NOT NULL,
	error          TEXT,                               -- of the last try; none if it only waits for those before it
	stack          TEXT,
	statement      TEXT,
	tries          BIGINT      NOT NULL DEFAULT 0,
	parked_at      TIMESTAMPTZ NOT NULL DEFAULT now(), -- or tried again
	recorded       TEXT,                               -- the event as JSON, where no log has it
	PRIMARY KEY (name, position)
);
CREATE INDEX readview_parked_stream ON readview_parked (name, aggregate_name, aggregate_id, position);

-- Events that somebody has decided not to apply.
CREATE TABLE readview_skipped (
	name           TEXT        NOT NULL,
	position       BIGINT      NOT NULL,
	event_id       UUID        NOT NULL,
	event_name     TEXT        NOT NULL,
	aggregate_name TEXT        NOT NULL,
	aggregate_id   TEXT        NOT NULL,
	error          TEXT        NOT NULL,
	reason         TEXT        NOT NULL,
	actor          TEXT        NOT NULL,
	skipped_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
	PRIMARY KEY (name, position)
);
