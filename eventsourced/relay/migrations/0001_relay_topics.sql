-- The position of the last message that a relay has sent to a topic. That of the
-- topic '' is where the relay began, and that of '$relay' is its position when it
-- saved these: if it differs from the one in consumers, somebody has set that.
CREATE TABLE relay_topics (
	name     TEXT   NOT NULL,  -- the relay
	topic    TEXT   NOT NULL,
	position BIGINT NOT NULL,
	PRIMARY KEY (name, topic)
);
