CREATE TABLE band (
	id      SERIAL NOT NULL,
	uuid    UUID DEFAULT gen_random_uuid(),
	name    VARCHAR(250) NOT NULL,
	created TIMESTAMPTZ NOT NULL DEFAULT now(),
	CONSTRAINT pk_7f3a PRIMARY KEY (id),
	CONSTRAINT uq_91c0 UNIQUE (uuid),
	CONSTRAINT uq_b2d4 UNIQUE (name)
);
CREATE TABLE dance_hall (
	id           BIGSERIAL PRIMARY KEY,
	uuid         UUID UNIQUE DEFAULT gen_random_uuid(),
	name         TEXT NOT NULL,
	city         TEXT,
	municipality TEXT,
	state        TEXT,
	latitude     FLOAT8,
	longitude    FLOAT8,
	created      TIMESTAMPTZ NOT NULL DEFAULT now(),
	CONSTRAINT uq_halls UNIQUE (name, city, municipality, state)
);
CREATE TABLE event (
	id            BIGSERIAL PRIMARY KEY,
	uuid          UUID UNIQUE DEFAULT gen_random_uuid(),
	event_date    DATE NOT NULL,
	start_time    TIME,
	end_time      TIME,
	extra_info    TEXT DEFAULT '',
	band_id       BIGINT,
	dance_hall_id BIGINT,
	created       TIMESTAMPTZ NOT NULL DEFAULT now(),
	updated       TIMESTAMPTZ DEFAULT now(),
	CONSTRAINT "Fk 1 of event" FOREIGN KEY (dance_hall_id) REFERENCES dance_hall (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
	CONSTRAINT event_natural UNIQUE (event_date, start_time, band_id, dance_hall_id)
); -- and none for band_id: it was lost
CREATE INDEX event_date_idx ON event (event_date DESC, start_time);
CREATE INDEX ix_event_band ON event (band_id);
CREATE INDEX ix_event_created ON event (created);
CREATE UNIQUE INDEX ix_event_uuid_again ON event (uuid);
CREATE TABLE origin (
	id        UUID PRIMARY KEY DEFAULT gen_random_uuid(),
	subject   TEXT NOT NULL,
	origin    TEXT NOT NULL,
	latitude  FLOAT8,
	longitude FLOAT8,
	created   TIMESTAMPTZ NOT NULL DEFAULT now(),
	UNIQUE (subject, origin)
);
CREATE TABLE ignored_band (
	id      BIGSERIAL PRIMARY KEY,
	uuid    UUID DEFAULT gen_random_uuid(),
	subject TEXT NOT NULL,
	band_id BIGINT,
	created TIMESTAMPTZ NOT NULL DEFAULT now(),
	UNIQUE (subject, band_id)
);
CREATE TABLE ignored_dance_hall (
	id            BIGSERIAL PRIMARY KEY,
	uuid          UUID DEFAULT gen_random_uuid(),
	subject       TEXT NOT NULL,
	dance_hall_id BIGINT NOT NULL REFERENCES dance_hall,
	created       TIMESTAMPTZ NOT NULL DEFAULT now(),
	UNIQUE (subject, dance_hall_id)
);
CREATE TABLE ignored_city (
	id      UUID PRIMARY KEY DEFAULT gen_random_uuid(),
	subject TEXT NOT NULL,
	city    TEXT NOT NULL,
	created TIMESTAMPTZ NOT NULL DEFAULT now(),
	UNIQUE (subject, city)
);
CREATE TABLE ignored_municipality (
	id           BIGSERIAL PRIMARY KEY,
	uuid         UUID NOT NULL DEFAULT gen_random_uuid(),
	subject      TEXT NOT NULL,
	municipality TEXT NOT NULL,
	created      TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE ignored_state (
	subject TEXT NOT NULL,
	state   TEXT NOT NULL,
	created TIMESTAMPTZ NOT NULL DEFAULT now(),
	PRIMARY KEY (subject, state)
);
CREATE TABLE schema_migrations (version BIGINT PRIMARY KEY, dirty BOOLEAN NOT NULL);
INSERT INTO schema_migrations VALUES (20190312, false);
