-- Appends one event that expects a version, the most frequent append by far, if all is as expected. Otherwise it adds
-- no row or violates a constraint, and append.sql decides what that means. It runs under the log's lock, like that.
-- {expected} looks for the version, except in a new stream.
INSERT INTO {events} (tstamp, id, name, aggregate_name, aggregate_id, version, schema_version, occurred_at, payload, metadata)
SELECT greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, (SELECT tstamp + 1 FROM {events} ORDER BY tstamp DESC LIMIT 1)),
	$1, $2, $3, $4, $5::bigint + 1, $6, $7, $8, $9
WHERE {expected}
	AND current_setting('transaction_isolation') = 'read committed'
RETURNING tstamp
