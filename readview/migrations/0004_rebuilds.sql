-- What is, or was last, replayed into shadow tables: a rebuild (or a rollback) and a verification of each projection.
CREATE TABLE readview_rebuilds (
	name        TEXT        NOT NULL,
	kind        TEXT        NOT NULL CHECK (kind IN ('rebuild', 'verify', 'explain')),
	command     TEXT        NOT NULL,                 -- rebuild, rollback, verify or explain
	run         UUID        NOT NULL,                 -- who does it: a page of another run finds no row
	phase       TEXT        NOT NULL,                 -- building, replaying, ...; done, failed, cancelled
	schema      TEXT        NOT NULL,                 -- of the shadow tables
	fingerprint TEXT        NOT NULL,                 -- of the definition of the live ones
	complete    BOOLEAN     NOT NULL,                 -- the shadow tables have all that the live ones have, to take their place
	handled     TEXT[]      NOT NULL,
	version     BIGINT      NOT NULL,
	position    BIGINT      NOT NULL DEFAULT 0,       -- of the shadow tables: set with every page's writes
	events      BIGINT      NOT NULL DEFAULT 0,       -- applied
	total       BIGINT      NOT NULL DEFAULT 0,       -- that there were when it began
	target      BIGINT      NOT NULL DEFAULT 0,       -- the log's head then
	node        TEXT        NOT NULL,
	detail      TEXT        NOT NULL DEFAULT '',      -- what it waits for, what came of it, or the error
	result      JSONB,                                -- of a verification
	started_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
	beat_at     TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
	ended_at    TIMESTAMPTZ,
	PRIMARY KEY (name, kind)
);

-- What the last rebuild has replaced, for a rollback.
CREATE TABLE readview_kept (
	name        TEXT        PRIMARY KEY,
	schema      TEXT        NOT NULL,
	how         TEXT        NOT NULL CHECK (how IN ('apply', 'swap')), -- apply: the rows that it changed are beside the tables
	position    BIGINT      NOT NULL,                                  -- of what is kept
	fingerprint TEXT        NOT NULL,
	handled     TEXT[]      NOT NULL,                                  -- by the program that made it
	version     BIGINT      NOT NULL,                                  -- of the projection then
	kept_at     TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
	keep_until  TIMESTAMPTZ NOT NULL
);
