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
	stall           JSONB                              -- with error, when nothing has failed but something takes long: the sessions that hold a lock
);
