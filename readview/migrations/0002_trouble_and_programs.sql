-- A projection whose position is above the log's head is 'ahead': the log is an older one.
ALTER TABLE readview_states DROP CONSTRAINT readview_states_status_check;
ALTER TABLE readview_states ADD CONSTRAINT readview_states_status_check CHECK (status IN ('running', 'paused', 'failed', 'ahead'));

ALTER TABLE readview_states
	ADD COLUMN lease_length  INTERVAL    NOT NULL DEFAULT '0', -- a lease that ends later than this from now is none: clocks go back
	ADD COLUMN failing_since TIMESTAMPTZ,                      -- with error: when it began
	ADD COLUMN attempts      BIGINT,                           -- how often it was tried since then
	ADD COLUMN tried_at      TIMESTAMPTZ,                      -- by this database's clock
	ADD COLUMN dropped       JSONB       NOT NULL DEFAULT '{}', -- event names that were in handled once, and up to which position
	ADD COLUMN superseded    JSONB       NOT NULL DEFAULT '[]'; -- what older programs had in handled
