-- The tables of the four projections as the migrations leave them, for readers and for who
-- has to make one again; a test compares. There are no foreign keys between them: each is
-- emptied and rebuilt by itself, and the write side sees to it that references are right.
-- userpreferences_lookup, which is one of them, is made by 00005_userpreferences_lookup.sql.

CREATE TABLE band (
	id      UUID        PRIMARY KEY,
	name    TEXT        NOT NULL UNIQUE,
	created TIMESTAMPTZ NOT NULL
);

CREATE TABLE dance_hall (
	id           UUID        PRIMARY KEY,
	name         TEXT        NOT NULL,
	city         TEXT        NOT NULL,
	municipality TEXT        NOT NULL,
	state        TEXT        NOT NULL,
	latitude     FLOAT8,
	longitude    FLOAT8,
	created      TIMESTAMPTZ NOT NULL,
	UNIQUE (name, city, municipality, state),
	CHECK ((latitude IS NULL) = (longitude IS NULL))
);
CREATE INDEX dance_hall_area_idx ON dance_hall (state, municipality, city);

-- A dance. Its natural key is not unique here: two updates may swap two dances.
CREATE TABLE event (
	id            UUID        PRIMARY KEY,
	event_date    DATE        NOT NULL,
	start_time    TIME,
	end_time      TIME, -- on the next day unless it is after start_time
	extra_info    TEXT        NOT NULL DEFAULT '',
	band_id       UUID        NOT NULL,
	dance_hall_id UUID        NOT NULL,
	created       TIMESTAMPTZ NOT NULL,
	updated       TIMESTAMPTZ NOT NULL
);
CREATE INDEX event_date_idx ON event (event_date);
CREATE INDEX event_band_idx ON event (band_id, event_date);
CREATE INDEX event_dance_hall_idx ON event (dance_hall_id, event_date);

-- What users prefer. subject is the user's OpenID Connect "sub": personal data.
CREATE TABLE origin (
	id        UUID        PRIMARY KEY,
	subject   TEXT        NOT NULL,
	origin    TEXT        NOT NULL,
	latitude  FLOAT8,
	longitude FLOAT8,
	created   TIMESTAMPTZ NOT NULL,
	UNIQUE (subject, origin),
	CHECK ((latitude IS NULL) = (longitude IS NULL))
);
CREATE TABLE ignored_band (
	id      UUID        PRIMARY KEY,
	subject TEXT        NOT NULL,
	band_id UUID        NOT NULL,
	created TIMESTAMPTZ NOT NULL,
	UNIQUE (subject, band_id)
);
CREATE INDEX ignored_band_band_idx ON ignored_band (band_id);
CREATE TABLE ignored_dance_hall (
	id            UUID        PRIMARY KEY,
	subject       TEXT        NOT NULL,
	dance_hall_id UUID        NOT NULL,
	created       TIMESTAMPTZ NOT NULL,
	UNIQUE (subject, dance_hall_id)
);
CREATE INDEX ignored_dance_hall_dance_hall_idx ON ignored_dance_hall (dance_hall_id);
CREATE TABLE ignored_city (
	id      UUID        PRIMARY KEY,
	subject TEXT        NOT NULL,
	city    TEXT        NOT NULL,
	created TIMESTAMPTZ NOT NULL,
	UNIQUE (subject, city)
);
CREATE TABLE ignored_municipality (
	id           UUID        PRIMARY KEY,
	subject      TEXT        NOT NULL,
	municipality TEXT        NOT NULL,
	created      TIMESTAMPTZ NOT NULL,
	UNIQUE (subject, municipality)
);
CREATE TABLE ignored_state (
	id      UUID        PRIMARY KEY,
	subject TEXT        NOT NULL,
	state   TEXT        NOT NULL,
	created TIMESTAMPTZ NOT NULL,
	UNIQUE (subject, state)
);
