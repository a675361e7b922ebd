INSERT INTO band (name, created)
	SELECT 'Band ' || i, timestamptz '2019-01-01 12:00:00.123456+01' + i * interval '7 hours'
	FROM generate_series(1, current_setting('my.bands')::int) AS i;
INSERT INTO band (name, created, uuid) VALUES
	('Bo Granz', '2019-03-01', gen_random_uuid()), ('BO GRANZ', '2019-03-02', gen_random_uuid()), ('bo granz', '2019-02-28', gen_random_uuid()),
	('  Två   mellanslag ', '2019-03-03', gen_random_uuid()), ('Utan uuid', '2019-03-04', NULL), ('Ej fastställt', '2019-03-05', gen_random_uuid()),
	(repeat('Ä', 250), '2019-03-06', gen_random_uuid()), ('', '2019-03-07', gen_random_uuid());
-- a number that is far off, so that no id is what another table's is
SELECT setval('event_id_seq', 100000), setval('dance_hall_id_seq', 5000);
INSERT INTO dance_hall (name, city, municipality, state, latitude, longitude, created)
	SELECT 'Hall ' || i, 'Ort ' || i % 50, 'Kommun ' || i % 20, 'Län ' || i % 7,
		CASE WHEN i % 3 > 0 THEN 55 + random() * 13 END, CASE WHEN i % 3 > 0 THEN 11 + random() * 12 END,
		timestamptz '2019-01-01 00:00:00.5+00' + i * interval '1 hour'
	FROM generate_series(1, current_setting('my.halls')::int) AS i;
INSERT INTO dance_hall (name, city, municipality, state, latitude, longitude, created) VALUES
	('Folkets Park', 'Staden', 'Kommunen', 'Landet', 60.683333333, 13.716666667, '2019-03-01'),
	('FOLKETS PARK', 'Staden', 'Kommunen', 'Landet', NULL, NULL, '2019-03-02'),
	('M/S Vågen', NULL, '(Båt)', '(Båt)', 0, 0, '2019-03-03'), ('Utan län', 'Ort', NULL, '', 91, -181, '2019-03-04'), ('Någonstans', NULL, NULL, NULL, NULL, NULL, '2019-03-05');
INSERT INTO event (event_date, start_time, end_time, extra_info, band_id, dance_hall_id, created, updated)
	SELECT date '2024-01-01' + i % 730, time '18:00' + i % 4 * interval '1 hour', time '22:00' + i % 6 * interval '1 hour',
		CASE WHEN i % 9 = 0 THEN 'Info ' || i ELSE '' END, 1 + i % current_setting('my.bands')::int, 5001 + i % current_setting('my.halls')::int,
		timestamptz '2023-06-01 08:00:00.000001+00' + i * interval '1 minute',
		timestamptz '2023-06-01 08:00:00.000001+00' + i * interval '1 minute' + CASE WHEN i % 8 = 0 THEN interval '3 days' ELSE interval '0' END
	FROM generate_series(1, current_setting('my.events')::int) AS i ON CONFLICT DO NOTHING;
INSERT INTO event (event_date, start_time, end_time, extra_info, band_id, dance_hall_id, created, updated)
	SELECT date '2024-06-30' + n, s::time, e::time, x, (SELECT id FROM band WHERE name = b), (SELECT id FROM dance_hall WHERE name = h), '2024-01-01 10:00+00', u::timestamptz
	FROM (VALUES
		(1, '21:00', '01:00', 'över midnatt', 'Bo Granz', 'Folkets Park', '2024-01-01 10:00+00'),
		(2, '21:00', '01:00', NULL, 'BO GRANZ', 'FOLKETS PARK', NULL),
		(3, NULL, NULL, '', 'bo granz', 'M/S Vågen', '2023-12-31 10:00+00'),
		(4, '19:00:30', '24:00', E'två\nrader', 'Utan uuid', 'Utan län', '2024-01-02 10:00+00'),
		(5, NULL, '23:00', '  mellanslag  ', '', 'Folkets Park', '2024-01-02 10:00+00')) AS v (n, s, e, x, b, h, u);
INSERT INTO event (event_date, band_id, dance_hall_id, extra_info) VALUES
	('2024-07-10', 4711, 5001, 'bandet är borta'), ('2024-07-11', 4711, 5002, 'samma band'), ('2024-07-12', NULL, NULL, 'ingenting'),
	('0099-07-04', 1, 5001, 'långt borta');
INSERT INTO origin (subject, origin, latitude, longitude, created)
	SELECT 'user ' || i, 'Ort ' || i, CASE WHEN i % 2 = 0 THEN 59.123456789 END, CASE WHEN i % 2 = 0 THEN 15.1 END, timestamptz '2020-01-01' + i * interval '1 hour'
	FROM generate_series(1, current_setting('my.users')::int) AS i;
INSERT INTO origin (subject, origin) SELECT 'user 1', 'Plats ' || i FROM generate_series(1, 25) AS i;
INSERT INTO ignored_band (subject, band_id, created)
	SELECT 'user ' || i, 1 + (i * j) % current_setting('my.bands')::int, timestamptz '2020-02-01' + i * interval '1 hour'
	FROM generate_series(1, current_setting('my.users')::int) AS i, generate_series(1, 10) AS j ON CONFLICT DO NOTHING;
INSERT INTO ignored_band (subject, band_id)
	SELECT 'user 1', id FROM band WHERE lower(name) = 'bo granz' UNION ALL SELECT 'user 1', 4711 UNION ALL SELECT 'user 2', 4711
	UNION ALL SELECT 'user 1', NULL UNION ALL SELECT 'user 1', NULL;
INSERT INTO ignored_dance_hall (subject, dance_hall_id)
	SELECT 'user ' || i, 5000 + i FROM generate_series(1, current_setting('my.users')::int) AS i;
INSERT INTO ignored_city (subject, city) VALUES ('user 1', 'Örebro'), ('user 1', 'ÖREBRO'), ('user 2', 'Örebro'), ('user 1', ''), ('', 'Utan person');
INSERT INTO ignored_municipality (subject, municipality) VALUES ('user 1', 'Malung-Sälen'), ('user 3', 'Malung-Sälen ');
INSERT INTO ignored_state (subject, state) VALUES ('user 1', 'Dalarna'), ('user 1', 'Sveriges län');
