-- The operator log: what somebody did to a projection, written in the transaction that does it.
CREATE TABLE readview_operations (
	id        BIGINT      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name      TEXT        NOT NULL,                             -- the projection
	command   TEXT        NOT NULL,                             -- reset, pause, skip, ...
	actor     TEXT        NOT NULL,
	arguments JSONB       NOT NULL DEFAULT '{}',
	outcome   TEXT        NOT NULL CHECK (outcome IN ('done', 'failed', 'under way')),
	detail    TEXT        NOT NULL DEFAULT '',                  -- what came of it, or the error
	began_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
	ended_at  TIMESTAMPTZ DEFAULT clock_timestamp()             -- NULL while it is under way
);
CREATE INDEX readview_operations_name ON readview_operations (name, id);
