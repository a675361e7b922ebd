-- The log. Its order and who may write it: see the package documentation of pgstore.
CREATE TABLE events (
	tstamp         BIGINT      NOT NULL,           -- the position: microseconds since 1970, in the order of commits
	id             UUID        NOT NULL,
	name           TEXT        NOT NULL,
	aggregate_name TEXT        NOT NULL,
	aggregate_id   TEXT        NOT NULL,
	version        BIGINT      NOT NULL,           -- 1, 2, 3 ... within the aggregate
	schema_version INTEGER     NOT NULL DEFAULT 1, -- of the payload
	occurred_at    TIMESTAMPTZ NOT NULL,
	payload        JSON        NOT NULL,           -- JSON, not JSONB: kept to the byte, and cheaper to write
	metadata       JSON,
	tags           TEXT[],                         -- what else it is about; nothing reads by them yet
	CONSTRAINT events_pkey PRIMARY KEY (tstamp),
	CONSTRAINT events_id_key UNIQUE (id),
	CONSTRAINT events_stream_key UNIQUE (aggregate_name, aggregate_id, version)
);

-- A projection reads the names that it handles and no others.
CREATE INDEX events_name_idx ON events (name, tstamp);

-- A cache: the latest snapshot of each aggregate that has any.
CREATE TABLE snapshots (
	aggregate_name TEXT    NOT NULL,
	aggregate_id   TEXT    NOT NULL,
	version        BIGINT  NOT NULL,
	tstamp         BIGINT  NOT NULL,
	schema_version INTEGER NOT NULL,
	state          BYTEA   NOT NULL,
	PRIMARY KEY (aggregate_name, aggregate_id)
);

-- Which log this is: positions that were given out say so. A copy of the database keeps it.
CREATE TABLE log_identity (
	id  UUID    NOT NULL DEFAULT gen_random_uuid(),
	one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO log_identity DEFAULT VALUES;
