-- Where each projection stands: everything up to position is in its tables.
CREATE TABLE readviews (
	name     TEXT   PRIMARY KEY,
	position BIGINT NOT NULL
);

-- What else there is to know about it.
CREATE TABLE readview_states (
	name            TEXT        PRIMARY KEY,
	generation      BIGINT      NOT NULL DEFAULT 1, -- counts resets and changes of handled
	status          TEXT        NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'paused', 'failed')),
	handled         TEXT[]      NOT NULL,           -- event names, sorted
	node            TEXT        NOT NULL DEFAULT '', -- who applies it
	lease_until     TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
	error           TEXT,                           -- the last failure, until the projection gets past it
	failed_at       TIMESTAMPTZ,
	failed_event    UUID,
	failed_name     TEXT,
	failed_position BIGINT
);
