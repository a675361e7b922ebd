-- The tables become read views: each projection empties and fills its own, in whatever
-- order, so no table may refer to another. Every foreign key goes, as the catalogue has
-- them: one that is forgotten makes the reset of its table fail. That references are right
-- is for the write side to see to. Queries get their indexes.

-- +goose Up
-- +goose StatementBegin
DO $$
DECLARE
	tables CONSTANT TEXT[] := ARRAY['band', 'dance_hall', 'event', 'origin', 'ignored_band', 'ignored_dance_hall',
		'ignored_city', 'ignored_municipality', 'ignored_state'];
	found RECORD;
BEGIN
	FOR found IN SELECT conrelid::regclass AS rel, conname FROM pg_constraint
		WHERE contype = 'f' AND (conrelid IN (SELECT to_regclass(quote_ident(t)) FROM unnest(tables) AS t)
			OR confrelid IN (SELECT to_regclass(quote_ident(t)) FROM unnest(tables) AS t))
	LOOP
		EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', found.rel, found.conname);
	END LOOP;
	-- An index of one of these names is about the same, or about what somebody else took it for.
	FOR found IN SELECT c.oid::regclass AS index FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		WHERE i.indrelid IN (SELECT to_regclass(quote_ident(t)) FROM unnest(tables) AS t)
		AND c.relname IN ('dance_hall_area_idx', 'event_date_idx', 'event_band_idx', 'event_dance_hall_idx',
			'ignored_band_band_idx', 'ignored_dance_hall_dance_hall_idx')
	LOOP
		EXECUTE format('DROP INDEX %s', found.index);
	END LOOP;
END $$;
-- +goose StatementEnd
CREATE INDEX dance_hall_area_idx ON dance_hall (state, municipality, city);
CREATE INDEX event_date_idx ON event (event_date);
CREATE INDEX event_band_idx ON event (band_id, event_date);
CREATE INDEX event_dance_hall_idx ON event (dance_hall_id, event_date);
CREATE INDEX ignored_band_band_idx ON ignored_band (band_id);
CREATE INDEX ignored_dance_hall_dance_hall_idx ON ignored_dance_hall (dance_hall_id);

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN
	RAISE EXCEPTION 'the step to tables without foreign keys cannot be undone: read views that were reset one by one may refer to rows that are not there'
		USING HINT = 'Restore a backup from before it.';
END $$;
-- +goose StatementEnd
