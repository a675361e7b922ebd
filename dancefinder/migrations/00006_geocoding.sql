-- The tables of geocoding. They are no read views: they are not made from the log and
-- no reset touches them, so that a replay asks no provider.

-- +goose Up

-- One row for each dance hall that was created: whether it was looked up. While a worker
-- has a job, claim is set and next_attempt_at is when the others may take it over.
CREATE TABLE geocoding_job (
	dance_hall_id     UUID        PRIMARY KEY,
	hall_name         TEXT        NOT NULL, -- this and the place as in DanceHallCreated
	hall_city         TEXT        NOT NULL,
	hall_municipality TEXT        NOT NULL,
	hall_state        TEXT        NOT NULL,
	event_id          UUID        NOT NULL, -- of DanceHallCreated, the cause of what follows
	event_position    BIGINT      NOT NULL,
	correlation_id    TEXT        NOT NULL, -- of that event; empty when it had none
	state             TEXT        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'failed', 'not_found')),
	attempts          INT         NOT NULL DEFAULT 0,
	next_attempt_at   TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
	claim             UUID,                 -- of the worker that has it; each claim is a new one
	last_error        TEXT        NOT NULL DEFAULT '',
	created           TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
	updated           TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX geocoding_job_due_idx ON geocoding_job (next_attempt_at) WHERE state = 'pending';

-- When a provider may be asked again, by whatever node: one row for each provider.
CREATE TABLE geocoding_limit (
	provider     TEXT        PRIMARY KEY,
	next_at      TIMESTAMPTZ NOT NULL,                -- the first slot that is free
	paused_until TIMESTAMPTZ NOT NULL DEFAULT 'epoch' -- no slot counts before this
);

-- What providers answered. The coordinate is NULL where they found nothing.
CREATE TABLE geocoding_cache (
	provider   TEXT        NOT NULL,
	query      TEXT        NOT NULL, -- normalised
	latitude   FLOAT8,
	longitude  FLOAT8,
	precision  TEXT        NOT NULL,
	matched    TEXT        NOT NULL,
	fetched_at TIMESTAMPTZ NOT NULL,
	PRIMARY KEY (provider, query),
	CHECK ((latitude IS NULL) = (longitude IS NULL))
);

-- +goose Down
DROP TABLE geocoding_job, geocoding_limit, geocoding_cache;
