-- Ten million events of 40 names, every hundred of them with one correlation; the keys at the end, which takes half the time.
SET LOCAL maintenance_work_mem = '512MB'; SET LOCAL max_parallel_maintenance_workers = 0;
ALTER TABLE events DROP CONSTRAINT events_pkey, DROP CONSTRAINT events_id_key, DROP CONSTRAINT events_stream_key;
DROP INDEX events_name_idx;
INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload, metadata)
SELECT 1795000000000000 + n*70000, md5('e'||n)::uuid,
  CASE WHEN n % 100000 = 0 THEN 'VeryRare' ELSE 'Event' || n % 40 END,
  CASE WHEN n % 50000 = 0 THEN 'domain.Rare' ELSE 'domain.Kind' || n % 8 END,
  md5('a'|| (n % 1000000)), n / 1000000 + 1, to_timestamp((1795000000000000 + n*70000)/1000000.0),
  json_build_object('name','Something of number ' || n, 'place','Rättvik, Dalarna','latitude',60.88664,'longitude',15.11793,'description', repeat('text ', (20 + n % 20)::int)),
  json_build_object('correlation_id', md5('e'||(n - n % 100))::uuid, 'causation_id', md5('e'|| (n - 1 - n % 3))::uuid, 'actor', 'importer', 'traceparent','00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01')
FROM generate_series(1::bigint, 10000000) n;
ALTER TABLE events ADD CONSTRAINT events_pkey PRIMARY KEY (tstamp);
ALTER TABLE events ADD CONSTRAINT events_id_key UNIQUE (id);
ALTER TABLE events ADD CONSTRAINT events_stream_key UNIQUE (aggregate_name, aggregate_id, version);
CREATE INDEX events_name_idx ON events (name, tstamp);
