-- Who holds the log's lock, if the server's process $1 waits for it, or is none of this server's: 0, or what a pooler has made up.
WITH locks AS (
	SELECT * FROM pg_locks
	WHERE locktype = 'advisory' AND classid = 1702260334 AND objid = {oid} AND objsubid = 2
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT coalesce(l.pid, 0), coalesce(p.gid, ''), coalesce(a.state, ''), coalesce(left(regexp_replace(a.query, '\s+', ' ', 'g'), 100), ''), coalesce(a.usename, p.owner, '')::text,
	coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''), coalesce(a.backend_start, 'epoch'), coalesce(began, 'epoch'),
	coalesce((date_part('epoch', clock_timestamp() - began) * 1000000)::bigint, 0)
FROM locks l
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
-- A prepared transaction has no process. It is found by the lock on its own id.
LEFT JOIN pg_locks x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid' AND x.virtualtransaction = l.virtualtransaction
LEFT JOIN pg_prepared_xacts p ON p.transaction = x.transactionid
CROSS JOIN LATERAL coalesce(a.xact_start, p.prepared) AS began
WHERE l.granted AND (EXISTS (SELECT FROM locks w WHERE w.pid = $1::int AND NOT w.granted)
	OR NOT EXISTS (SELECT FROM pg_stat_activity w WHERE w.pid = $1::int))
