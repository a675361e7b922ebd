-- The calendar links of users, filled by the projection userpreferences. A link's secret
-- is not here, only its hash.

-- +goose Up
CREATE TABLE calendar_link (
	subject TEXT        PRIMARY KEY,
	hash    TEXT        NOT NULL UNIQUE,
	created TIMESTAMPTZ NOT NULL
);

-- +goose Down
DROP TABLE calendar_link;
