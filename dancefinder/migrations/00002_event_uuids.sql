-- Events and preferences refer to bands and halls by uuid, beside the integers: a program
-- that knows only these still works.
--
-- Where there was no foreign key, a row may refer to a band that is gone. It keeps doing so:
-- the number that is left gives the uuid, the same one in each table, so that what belonged
-- together still does. An event that names no band at all gets the nil uuid; an ignored band
-- that is none gets a uuid of its own, as a subject ignores a band once.

-- +goose Up
LOCK TABLE band, dance_hall, event, ignored_band, ignored_dance_hall IN ACCESS EXCLUSIVE MODE;

UPDATE band SET uuid = gen_random_uuid() WHERE uuid IS NULL;
UPDATE dance_hall SET uuid = gen_random_uuid() WHERE uuid IS NULL;

ALTER TABLE event ADD COLUMN band_uuid UUID, ADD COLUMN dance_hall_uuid UUID;
ALTER TABLE ignored_band ADD COLUMN band_uuid UUID;
ALTER TABLE ignored_dance_hall ADD COLUMN dance_hall_uuid UUID;

UPDATE event SET
	band_uuid = CASE WHEN band_id IS NULL THEN '00000000-0000-0000-0000-000000000000'
		ELSE coalesce((SELECT band.uuid FROM band WHERE band.id = event.band_id), md5('legacy band ' || band_id)::uuid) END,
	dance_hall_uuid = CASE WHEN dance_hall_id IS NULL THEN '00000000-0000-0000-0000-000000000000'
		ELSE coalesce((SELECT dance_hall.uuid FROM dance_hall WHERE dance_hall.id = event.dance_hall_id), md5('legacy dance_hall ' || dance_hall_id)::uuid) END;
UPDATE ignored_band SET band_uuid = coalesce(
	(SELECT band.uuid FROM band WHERE band.id = ignored_band.band_id),
	md5('legacy band ' || band_id)::uuid, gen_random_uuid());
UPDATE ignored_dance_hall SET dance_hall_uuid = coalesce(
	(SELECT dance_hall.uuid FROM dance_hall WHERE dance_hall.id = ignored_dance_hall.dance_hall_id),
	md5('legacy dance_hall ' || dance_hall_id)::uuid, gen_random_uuid());

ALTER TABLE event ALTER COLUMN band_uuid SET NOT NULL, ALTER COLUMN dance_hall_uuid SET NOT NULL;
ALTER TABLE ignored_band ALTER COLUMN band_uuid SET NOT NULL;
ALTER TABLE ignored_dance_hall ALTER COLUMN dance_hall_uuid SET NOT NULL;

-- The new references have foreign keys, but for those that dangle. A key needs a unique
-- column to refer to, which a database may have lost.
-- +goose StatementBegin
DO $$
DECLARE
	reference RECORD;
	dangling BOOLEAN;
BEGIN
	FOR reference IN SELECT * FROM (VALUES
		('event', 'band_uuid', 'band'), ('event', 'dance_hall_uuid', 'dance_hall'),
		('ignored_band', 'band_uuid', 'band'), ('ignored_dance_hall', 'dance_hall_uuid', 'dance_hall')) AS v (child, col, parent)
	LOOP
		IF NOT EXISTS (SELECT FROM pg_index i
			JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
			WHERE i.indrelid = to_regclass(quote_ident(reference.parent)) AND a.attname = 'uuid' AND i.indnkeyatts = 1
			AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL) THEN
			EXECUTE format('ALTER TABLE %I ADD UNIQUE (uuid)', reference.parent);
		END IF;
		EXECUTE format('SELECT EXISTS (SELECT FROM %1$I c WHERE NOT EXISTS (SELECT FROM %3$I p WHERE p.uuid = c.%2$I))',
			reference.child, reference.col, reference.parent) INTO dangling;
		IF NOT dangling THEN
			EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (%I) REFERENCES %I (uuid)', reference.child, reference.col, reference.parent);
		END IF;
	END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
ALTER TABLE event DROP COLUMN band_uuid, DROP COLUMN dance_hall_uuid;
ALTER TABLE ignored_band DROP COLUMN band_uuid;
ALTER TABLE ignored_dance_hall DROP COLUMN dance_hall_uuid;
