-- One identity instead of two: the integers go, uuid becomes id, band_uuid becomes band_id
-- and dance_hall_uuid becomes dance_hall_id. Constraints go with the columns that they are
-- about, also those that nobody thinks of, such as UNIQUE (subject, band_id): so all go, by
-- the catalogue, as their names may be any, and those that are wanted are made again.
--
-- It all is one step, because the order matters: foreign keys, the columns they are about,
-- what they refer to. The step also takes what is half-way there: tables that have the new
-- ids but the old references, or the new names without the constraints.

-- +goose Up
SET CONSTRAINTS ALL IMMEDIATE; -- a check that is deferred would be in the way of ALTER TABLE
LOCK TABLE band, dance_hall, event, origin, ignored_band, ignored_dance_hall, ignored_city,
	ignored_municipality, ignored_state IN ACCESS EXCLUSIVE MODE;

-- A half-way database may have rows from after its references were filled.
-- +goose StatementBegin
DO $$
DECLARE
	reference RECORD;
	has_uuid BOOLEAN;
	nothing TEXT;
BEGIN
	FOR reference IN SELECT * FROM (VALUES
		('event', 'band'), ('event', 'dance_hall'), ('ignored_band', 'band'), ('ignored_dance_hall', 'dance_hall')) AS v (child, parent)
	LOOP
		nothing := CASE WHEN reference.child = 'event' THEN quote_literal('00000000-0000-0000-0000-000000000000') || '::uuid' ELSE 'gen_random_uuid()' END;
		SELECT count(*) = 3 INTO has_uuid FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
			AND (attrelid = to_regclass(quote_ident(reference.child)) AND attname IN (reference.parent || '_id', reference.parent || '_uuid')
				OR attrelid = to_regclass(quote_ident(reference.parent)) AND attname = 'uuid');
		IF has_uuid THEN
			EXECUTE format('UPDATE %1$I c SET %2$I = coalesce((SELECT p.uuid FROM %3$I p WHERE p.id = c.%4$I), md5(%5$L || c.%4$I)::uuid, %6$s) WHERE c.%2$I IS NULL',
				reference.child, reference.parent || '_uuid', reference.parent, reference.parent || '_id', 'legacy ' || reference.parent || ' ', nothing);
		ELSIF EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass(quote_ident(reference.child)) AND attname = reference.parent || '_uuid' AND NOT attisdropped) THEN
			EXECUTE format('UPDATE %1$I SET %2$I = %3$s WHERE %2$I IS NULL', reference.child, reference.parent || '_uuid', nothing);
		ELSE
			EXECUTE format('UPDATE %1$I SET %2$I = %3$s WHERE %2$I IS NULL', reference.child, reference.parent || '_id', nothing);
		END IF;
	END LOOP;
END $$;
-- +goose StatementEnd

-- What may be missing in a row, and has a value that means just that.
UPDATE event SET extra_info = '' WHERE extra_info IS NULL;
UPDATE event SET updated = created WHERE updated IS NULL;
UPDATE dance_hall SET city = coalesce(city, ''), municipality = coalesce(municipality, ''), state = coalesce(state, '')
	WHERE city IS NULL OR municipality IS NULL OR state IS NULL;

-- +goose StatementBegin
DO $$
DECLARE
	tables CONSTANT TEXT[] := ARRAY['band', 'dance_hall', 'event', 'origin', 'ignored_band', 'ignored_dance_hall',
		'ignored_city', 'ignored_municipality', 'ignored_state'];
	found RECORD;
	t TEXT;
	id_type REGTYPE;
BEGIN
	-- Constraints, foreign keys first: they need the unique ones.
	FOR found IN SELECT conrelid::regclass AS rel, conname FROM pg_constraint
		WHERE conrelid IN (SELECT to_regclass(quote_ident(u)) FROM unnest(tables) AS u) AND contype IN ('f', 'p', 'u', 'c', 'x')
		ORDER BY contype <> 'f'
	LOOP
		EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', found.rel, found.conname);
	END LOOP;
	-- Unique indexes that are no constraints: what is unique is for the write side to say,
	-- and one that the read views do not know of could stop a projection.
	FOR found IN SELECT indexrelid::regclass AS index FROM pg_index
		WHERE indrelid IN (SELECT to_regclass(quote_ident(u)) FROM unnest(tables) AS u) AND indisunique
	LOOP
		EXECUTE format('DROP INDEX %s', found.index);
	END LOOP;
	FOREACH t IN ARRAY tables LOOP
		-- id
		SELECT atttypid::regtype INTO id_type FROM pg_attribute WHERE attrelid = to_regclass(quote_ident(t)) AND attname = 'id' AND NOT attisdropped;
		IF id_type <> 'uuid'::regtype THEN
			EXECUTE format('ALTER TABLE %I DROP COLUMN id', t);
			id_type := NULL;
		END IF;
		IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass(quote_ident(t)) AND attname = 'uuid' AND NOT attisdropped) THEN
			EXECUTE format('ALTER TABLE %I RENAME COLUMN uuid TO id', t);
		ELSIF id_type IS NULL THEN
			EXECUTE format('ALTER TABLE %I ADD COLUMN id UUID', t);
		END IF;
		EXECUTE format('UPDATE %I SET id = gen_random_uuid() WHERE id IS NULL', t);
		-- references
		FOR found IN SELECT attname AS old, replace(attname, '_uuid', '_id') AS new FROM pg_attribute
			WHERE attrelid = to_regclass(quote_ident(t)) AND attname IN ('band_uuid', 'dance_hall_uuid') AND NOT attisdropped
		LOOP
			EXECUTE format('ALTER TABLE %I DROP COLUMN IF EXISTS %I', t, found.new);
			EXECUTE format('ALTER TABLE %I RENAME COLUMN %I TO %I', t, found.old, found.new);
		END LOOP;
		-- Projections give all values, and the same ones in each replay: no defaults, texts
		-- of any length, and nothing missing but what may be unknown.
		IF t = 'origin' THEN
			ALTER TABLE origin ADD COLUMN IF NOT EXISTS latitude FLOAT8, ADD COLUMN IF NOT EXISTS longitude FLOAT8;
		END IF;
		FOR found IN SELECT attname, atttypid FROM pg_attribute WHERE attrelid = to_regclass(quote_ident(t)) AND attnum > 0 AND NOT attisdropped LOOP
			EXECUTE format('ALTER TABLE %I ALTER COLUMN %I DROP DEFAULT', t, found.attname);
			IF found.atttypid = 'varchar'::regtype THEN
				EXECUTE format('ALTER TABLE %I ALTER COLUMN %I TYPE TEXT', t, found.attname);
			END IF;
			EXECUTE format('ALTER TABLE %I ALTER COLUMN %I %s NOT NULL', t, found.attname,
				CASE WHEN found.attname IN ('start_time', 'end_time', 'latitude', 'longitude') THEN 'DROP' ELSE 'SET' END);
		END LOOP;
		EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (id)', t);
	END LOOP;
END $$;
-- +goose StatementEnd

ALTER TABLE event ALTER COLUMN extra_info SET DEFAULT '';

ALTER TABLE band ADD UNIQUE (name);
ALTER TABLE dance_hall ADD UNIQUE (name, city, municipality, state), ADD CHECK ((latitude IS NULL) = (longitude IS NULL));
ALTER TABLE origin ADD UNIQUE (subject, origin), ADD CHECK ((latitude IS NULL) = (longitude IS NULL));
ALTER TABLE ignored_band ADD UNIQUE (subject, band_id);
ALTER TABLE ignored_dance_hall ADD UNIQUE (subject, dance_hall_id);
ALTER TABLE ignored_city ADD UNIQUE (subject, city);
ALTER TABLE ignored_municipality ADD UNIQUE (subject, municipality);
ALTER TABLE ignored_state ADD UNIQUE (subject, state);

-- +goose StatementBegin
DO $$
DECLARE
	reference RECORD;
	dangling BOOLEAN;
BEGIN
	FOR reference IN SELECT * FROM (VALUES
		('event', 'band_id', 'band'), ('event', 'dance_hall_id', 'dance_hall'),
		('ignored_band', 'band_id', 'band'), ('ignored_dance_hall', 'dance_hall_id', 'dance_hall')) AS v (child, col, parent)
	LOOP
		EXECUTE format('SELECT EXISTS (SELECT FROM %1$I c WHERE NOT EXISTS (SELECT FROM %3$I p WHERE p.id = c.%2$I))',
			reference.child, reference.col, reference.parent) INTO dangling;
		IF NOT dangling THEN
			EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (%I) REFERENCES %I (id)', reference.child, reference.col, reference.parent);
		END IF;
	END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN
	RAISE EXCEPTION 'the step to standard ids cannot be undone: the integer ids are gone' USING HINT = 'Restore a backup from before it.';
END $$;
-- +goose StatementEnd
