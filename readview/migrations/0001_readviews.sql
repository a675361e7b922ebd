-- Where each projection stands: everything up to position is in its tables.
CREATE TABLE readviews (
	name     TEXT   PRIMARY KEY,
	position BIGINT NOT NULL
);

-- What else there is to know about it.
CREATE TABLE readview_states (
	name            TEXT        PRIMARY KEY,
	generation      BIGINT      NOT NULL DEFAULT 1, -- counts resets and changes of handled
	-- Above the log's head it is 'ahead': the log is an older one.
	status          TEXT        NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'paused', 'failed', 'ahead')),
	handled         TEXT[]      NOT NULL,              -- event names, sorted
	dropped         JSONB       NOT NULL DEFAULT '{}', -- event names that were in handled once, and up to which position
	superseded      JSONB       NOT NULL DEFAULT '[]', -- what older programs had in handled
	version         BIGINT      NOT NULL DEFAULT 0,    -- of the projection that made what is in its tables
	shape           TEXT        NOT NULL DEFAULT '',   -- what they were like then, digested; '' without a version
	withdrawn       BIGINT      NOT NULL DEFAULT 0,    -- the highest version from which somebody has gone back to this one
	publication     BIGINT,                            -- of another context's relay, when it began to read: see relay_published there
	rebuild_to      BIGINT      NOT NULL DEFAULT 0,    -- before it was reset: below that position its tables lack what they had
	rate            FLOAT8      NOT NULL DEFAULT 0,    -- at which the node with the lease applies, events a second
	node            TEXT        NOT NULL DEFAULT '',   -- who applies it
	lease_until     TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
	lease_length    INTERVAL    NOT NULL DEFAULT '0',  -- a lease that ends later than this from now is none: clocks go back
	error           TEXT,                              -- the last failure, until the projection gets past it
	failing_since   TIMESTAMPTZ,                       -- with error: when it began
	attempts        BIGINT,                            -- how often it was tried since then
	tried_at        TIMESTAMPTZ,                       -- by this database's clock
	failed_at       TIMESTAMPTZ,
	failed_event    UUID,
	failed_name     TEXT,
	failed_position BIGINT,
	failed_stack    TEXT,                              -- of a panic, or of a goroutine that was ended
	failed_statement TEXT,                             -- that the event's handler failed with
	failed_recorded TEXT,                              -- the event as JSON, where no log has it
	parked          BIGINT      NOT NULL DEFAULT 0,    -- rows in readview_parked
	skipped         BIGINT      NOT NULL DEFAULT 0,    -- rows in readview_skipped
	stall           JSONB                              -- with error, when nothing has failed but something takes long: its session, and those that hold a lock
);

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

-- What was skipped or parked in what is kept: it lacks those events, and lacks them again after a rollback.
CREATE TABLE readview_kept_debt (
	name     TEXT    NOT NULL,
	back     BOOLEAN NOT NULL, -- of a rollback under way, with what that passes over
	position BIGINT  NOT NULL,
	skipped  BOOLEAN NOT NULL, -- or it was parked
	debt     JSONB   NOT NULL, -- the row of readview_skipped or readview_parked
	PRIMARY KEY (name, back, position)
);
