-- Appends a group of appends, each of them whole or not at all. It runs under the log's lock, in a statement after
-- the one that took the lock, so its snapshot has everything that was committed before.
-- $1 to $3: an array element an append. $4 to $12: an array element an event, tags as the text of an array.
-- Nothing here is joined that grows with both: a group may have hundreds of appends.
WITH clock AS (
	SELECT {next} AS first
), new AS (
	SELECT *
	FROM unnest($4::int[], $5::int[], $6::uuid[], $7::text[], $8::int[], $9::timestamptz[], $10::json[], $11::json[], $12::text[])
		WITH ORDINALITY AS n (append, nth, id, name, schema_version, occurred_at, payload, metadata, tags, ord)
), stored AS ( -- events that the log has already: this append is a repetition
	SELECT n.append, count(*) AS events, min(e.aggregate_name) AS aggregate_name, min(e.aggregate_id) AS aggregate_id, max(e.tstamp) AS tstamp
	FROM new n JOIN {events} e ON e.id = n.id
	GROUP BY n.append
), verdict AS (
	SELECT a.ord, last.version AS current,
		coalesce(s.events, 0) AS stored,
		coalesce(s.aggregate_name = a.aggregate_name AND s.aggregate_id = a.aggregate_id, false) AS same_stream,
		coalesce(s.tstamp, 0) AS stored_at,
		s.events IS NULL
			AND CASE a.expected WHEN -1 THEN true WHEN -2 THEN last.version > 0 ELSE a.expected = last.version END
			AND current_setting('transaction_isolation') = 'read committed' AS accepted
	FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS a (aggregate_name, aggregate_id, expected, ord)
	CROSS JOIN LATERAL ( -- OFFSET 0: once, and not wherever it is used
		SELECT coalesce((
			SELECT e.version FROM {events} e
			WHERE e.aggregate_name = a.aggregate_name AND e.aggregate_id = a.aggregate_id
			ORDER BY e.version DESC LIMIT 1
		), 0) AS version OFFSET 0
	) last
	LEFT JOIN stored s ON s.append = a.ord
), verdicts AS (
	SELECT array_agg(accepted ORDER BY ord) AS accepted, array_agg(current ORDER BY ord) AS current FROM verdict
), inserted AS (
	INSERT INTO {events} (tstamp, id, name, aggregate_name, aggregate_id, version, schema_version, occurred_at, payload, metadata, tags)
	SELECT c.first + n.ord - 1, n.id, n.name, ($1::text[])[n.append], ($2::text[])[n.append], v.current[n.append] + n.nth,
		n.schema_version, n.occurred_at, n.payload, n.metadata, n.tags::text[]
	FROM verdicts v CROSS JOIN clock c CROSS JOIN new n
	WHERE v.accepted[n.append]
	RETURNING 1
), complete AS ( -- a trigger may have left some out: then this fails, by a cast
	SELECT CASE WHEN i.events = a.events THEN 0
		ELSE ('only ' || i.events || ' of ' || a.events || ' events were inserted: a trigger left the others out')::int END AS missing
	FROM (SELECT count(*) AS events FROM inserted) i
	CROSS JOIN (SELECT count(*) AS events FROM verdicts v CROSS JOIN new n WHERE v.accepted[n.append]) a
)
SELECT v.accepted, v.current, v.stored, v.same_stream, v.stored_at, c.first + (SELECT missing FROM complete), current_setting('transaction_isolation')
FROM verdict v CROSS JOIN clock c
ORDER BY v.ord
