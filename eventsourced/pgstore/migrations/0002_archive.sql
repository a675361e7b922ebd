-- The parts of the log that are in files, see the package documentation of pgstore. Of what they have, the table events
-- keeps the first and the last event of each stream.
CREATE TABLE log_archive (
	last        BIGINT      NOT NULL PRIMARY KEY, -- the position of the last event
	first       BIGINT      NOT NULL,
	events      BIGINT      NOT NULL,
	names       JSON        NOT NULL,             -- how many events have each name
	file        TEXT        NOT NULL UNIQUE,
	bytes       BIGINT      NOT NULL,
	sha256      TEXT        NOT NULL,
	archived_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	CHECK (0 < first AND first <= last AND 0 < events)
);
