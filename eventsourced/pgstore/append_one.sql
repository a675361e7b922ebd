-- Appends one event that expects a version, the most frequent append by far, if all is as expected. Otherwise it fails, by a
-- cast or another constraint, and append.sql decides what that means. It runs under the log's lock, like that. A failure shows
-- no row: that of a NULL would put the event into the server's log.
-- Nor does it show one when a trigger left the event out: append.sql says so then, too.
-- {expected} looks for the version, except in a new stream.
INSERT INTO {events} (tstamp, id, name, aggregate_name, aggregate_id, version, schema_version, occurred_at, payload, metadata, tags)
VALUES (CASE WHEN {expected} AND current_setting('transaction_isolation') = 'read committed' THEN {next}
		ELSE ('not the expected version, or not read committed but ' || current_setting('transaction_isolation'))::bigint END,
	$1, $2, $3, $4, $5::bigint + 1, $6, $7, $8, $9, $10)
RETURNING tstamp
