-- What somebody wants done with an event that a reactor can't handle, at the next try of it that fails.
CREATE TABLE reactor_asked (
	name     TEXT    NOT NULL,
	event_id UUID    NOT NULL,
	position BIGINT  NOT NULL,
	skip     BOOLEAN NOT NULL, -- or else it is parked
	reason   TEXT    NOT NULL,
	PRIMARY KEY (name, event_id)
);
