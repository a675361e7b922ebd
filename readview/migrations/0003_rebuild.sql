-- Where a projection was before it was reset. Below that position its tables lack what they had.
ALTER TABLE readview_states ADD COLUMN rebuild_to BIGINT NOT NULL DEFAULT 0;
