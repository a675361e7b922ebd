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
