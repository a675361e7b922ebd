-- Which log this is: positions that were given out say so. A copy of the database keeps it.
CREATE TABLE log_identity (
	id  UUID    NOT NULL DEFAULT gen_random_uuid(),
	one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO log_identity DEFAULT VALUES;
