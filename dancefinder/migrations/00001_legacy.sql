-- How it began: a database with integer ids, and beside each of them a uuid for the world
-- outside. Rows refer to each other by the integers, under foreign keys.
--
-- A database that somebody else's tool has made so is not touched by this step: it counts
-- as applied. See the package's documentation.

-- +goose Up
CREATE TABLE band (
	id      BIGSERIAL   PRIMARY KEY,
	uuid    UUID        NOT NULL DEFAULT gen_random_uuid() UNIQUE,
	name    TEXT        NOT NULL UNIQUE,
	created TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE dance_hall (
	id           BIGSERIAL   PRIMARY KEY,
	uuid         UUID        NOT NULL DEFAULT gen_random_uuid() UNIQUE,
	name         TEXT        NOT NULL,
	city         TEXT        NOT NULL,
	municipality TEXT        NOT NULL,
	state        TEXT        NOT NULL,
	latitude     FLOAT8,
	longitude    FLOAT8,
	created      TIMESTAMPTZ NOT NULL DEFAULT now(),
	UNIQUE (name, city, municipality, state),
	CHECK ((latitude IS NULL) = (longitude IS NULL))
);

CREATE TABLE event (
	id            BIGSERIAL   PRIMARY KEY,
	uuid          UUID        NOT NULL DEFAULT gen_random_uuid() UNIQUE,
	event_date    DATE        NOT NULL,
	start_time    TIME,
	end_time      TIME,
	extra_info    TEXT        NOT NULL DEFAULT '',
	band_id       BIGINT      REFERENCES band (id),
	dance_hall_id BIGINT      REFERENCES dance_hall (id),
	created       TIMESTAMPTZ NOT NULL DEFAULT now(),
	updated       TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- What users prefer. Origins, cities, municipalities and states are texts: they refer to
-- nothing, and have had a uuid for their id from the start.
CREATE TABLE origin (
	id        UUID        NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
	subject   TEXT        NOT NULL,
	origin    TEXT        NOT NULL,
	latitude  FLOAT8,
	longitude FLOAT8,
	created   TIMESTAMPTZ NOT NULL DEFAULT now(),
	UNIQUE (subject, origin),
	CHECK ((latitude IS NULL) = (longitude IS NULL))
);
CREATE TABLE ignored_band (
	id      BIGSERIAL   PRIMARY KEY,
	uuid    UUID        NOT NULL DEFAULT gen_random_uuid() UNIQUE,
	subject TEXT        NOT NULL,
	band_id BIGINT      NOT NULL REFERENCES band (id),
	created TIMESTAMPTZ NOT NULL DEFAULT now(),
	UNIQUE (subject, band_id)
);
CREATE TABLE ignored_dance_hall (
	id            BIGSERIAL   PRIMARY KEY,
	uuid          UUID        NOT NULL DEFAULT gen_random_uuid() UNIQUE,
	subject       TEXT        NOT NULL,
	dance_hall_id BIGINT      NOT NULL REFERENCES dance_hall (id),
	created       TIMESTAMPTZ NOT NULL DEFAULT now(),
	UNIQUE (subject, dance_hall_id)
);
CREATE TABLE ignored_city (
	id      UUID        NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
	subject TEXT        NOT NULL,
	city    TEXT        NOT NULL,
	created TIMESTAMPTZ NOT NULL DEFAULT now(),
	UNIQUE (subject, city)
);
CREATE TABLE ignored_municipality (
	id           UUID        NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
	subject      TEXT        NOT NULL,
	municipality TEXT        NOT NULL,
	created      TIMESTAMPTZ NOT NULL DEFAULT now(),
	UNIQUE (subject, municipality)
);
CREATE TABLE ignored_state (
	id      UUID        NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
	subject TEXT        NOT NULL,
	state   TEXT        NOT NULL,
	created TIMESTAMPTZ NOT NULL DEFAULT now(),
	UNIQUE (subject, state)
);

-- +goose Down
-- +goose StatementBegin
DO $$
DECLARE
	t TEXT;
	filled BOOLEAN;
BEGIN
	FOREACH t IN ARRAY ARRAY['event', 'ignored_band', 'ignored_dance_hall', 'origin', 'ignored_city',
		'ignored_municipality', 'ignored_state', 'band', 'dance_hall']
	LOOP
		EXECUTE format('SELECT EXISTS (SELECT FROM %I)', t) INTO filled;
		IF filled THEN
			RAISE EXCEPTION 'the table % has rows: what is in the legacy tables is in no log', t
				USING HINT = 'Drop the tables by hand if nobody needs the rows.';
		END IF;
		EXECUTE format('DROP TABLE %I', t);
	END LOOP;
END $$;
-- +goose StatementEnd
