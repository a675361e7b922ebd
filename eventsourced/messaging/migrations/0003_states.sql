-- Since when a failure keeps a consumer from getting on, how often that was tried,
-- and when last.
ALTER TABLE consumers RENAME COLUMN failed_at TO tried_at;
ALTER TABLE consumers
	ADD COLUMN since        TIMESTAMPTZ,
	ADD COLUMN attempts     BIGINT,
	-- The position at which the consumer was found to be ahead of the log: while it
	-- is there, nothing is handled.
	ADD COLUMN ahead_at     BIGINT,
	-- A lease whose end is further away than this is none: the clock went back.
	ADD COLUMN lease_length INTERVAL NOT NULL DEFAULT '0';
