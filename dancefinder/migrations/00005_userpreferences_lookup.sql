-- Which band had a name, for preferences of the time when they named bands and had no
-- ids. It belongs to the projection userpreferences alone, so that its reset needs no other.

-- +goose Up
CREATE TABLE userpreferences_lookup (
	band_key TEXT PRIMARY KEY,
	band_id  UUID NOT NULL
);

-- +goose Down
DROP TABLE userpreferences_lookup;
