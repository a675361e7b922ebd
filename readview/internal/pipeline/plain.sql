-- Tells of a table $1 whose rows need something computed whether that rests on nothing but the table, and whether its rows can be
-- inserted as one statement without anybody noticing: its defaults, checks, generated columns, indexes and domains call no
-- function that may look at the rows that are there. Those functions are found in the stored expressions. And whether a new
-- row, or a changed one, has something of which the order among the rows of several tables can be told.
WITH RECURSIVE relation AS (
	SELECT to_regclass($1)::oid AS oid
), type (oid) AS ( -- of the columns, and those that they are made of
	SELECT a.atttypid FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid WHERE a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384
	UNION
	SELECT made_of FROM type JOIN pg_type t USING (oid) CROSS JOIN LATERAL unnest(ARRAY[t.typbasetype, t.typelem] || ARRAY(
		SELECT atttypid FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0) || ARRAY(
		SELECT rngsubtype FROM pg_range WHERE rngtypid = t.oid)) AS made_of WHERE made_of >= 16384
), expression (tree, new) AS ( -- those of new rows only are defaults
	SELECT d.adbin::text, a.attgenerated = '' FROM relation r JOIN pg_attrdef d ON d.adrelid = r.oid JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = d.adnum
	UNION ALL SELECT c.conbin::text, false FROM relation r JOIN pg_constraint c ON c.conrelid = r.oid WHERE c.contype = 'c'
	UNION ALL SELECT c.conbin::text, false FROM type t JOIN pg_constraint c ON c.contypid = t.oid
	UNION ALL SELECT concat(i.indexprs::text, i.indpred::text), false FROM relation r JOIN pg_index i ON i.indrelid = r.oid
		WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
), function (oid, new) AS (
	SELECT found[1]::oid, new FROM expression CROSS JOIN regexp_matches(tree, ':funcid (\d+)', 'g') AS found
	UNION
	SELECT o.oprcode, new FROM expression CROSS JOIN regexp_matches(tree, ':opno (\d+)', 'g') AS found JOIN pg_operator o ON o.oid = found[1]::oid
	UNION -- what an index compares with
	SELECT p.amproc::oid, false FROM relation r JOIN pg_index i ON i.indrelid = r.oid CROSS JOIN unnest(i.indclass) AS class (oid)
		JOIN pg_opclass c ON c.oid = class.oid JOIN pg_amproc p ON p.amprocfamily = c.opcfamily WHERE p.amproc::oid >= 16384
	UNION
	SELECT o.oprcode, false FROM relation r JOIN pg_constraint c ON c.conrelid = r.oid CROSS JOIN unnest(c.conexclop) AS operator (oid) JOIN pg_operator o ON o.oid = operator.oid
), volatile (new) AS (
	SELECT f.new FROM function f JOIN pg_proc p USING (oid) WHERE p.provolatile = 'v' AND p.proname NOT IN ('random', 'gen_random_uuid')
)
SELECT NOT EXISTS (SELECT FROM type) AND NOT EXISTS (SELECT FROM function f WHERE f.oid >= 16384),
	NOT EXISTS ( -- nor make values of a type of somebody's, whose checks may look
		SELECT FROM expression CROSS JOIN regexp_matches(tree, ':(?:result|const)type (\d+)', 'g') AS found WHERE found[1]::oid >= 16384
	) AND NOT EXISTS (
	SELECT FROM function f JOIN pg_proc p USING (oid) JOIN pg_language l ON l.oid = p.prolang
	WHERE NOT CASE
		WHEN p.oid >= 16384 THEN p.provolatile = 'i' AND l.lanname IN ('c', 'internal')
		ELSE p.provolatile = 'i' OR p.proname IN ('now', 'transaction_timestamp', 'statement_timestamp', 'clock_timestamp', 'timeofday',
			'nextval', 'random', 'gen_random_uuid', 'timezone', 'date', 'timestamp', 'timestamptz', 'time', 'timetz', 'date_trunc', 'date_part', 'extract',
			'to_char', 'concat', 'concat_ws', 'format', 'array_to_string', 'to_json', 'to_jsonb', 'json_build_object', 'jsonb_build_object', 'current_setting',
			'pg_current_xact_id', 'txid_current', 'current_schema', 'current_database')
			OR p.proname ~ '^(timestamp|timestamptz|date|interval|time|timetz)_'
	END),
	EXISTS (SELECT FROM volatile),
	EXISTS (SELECT FROM volatile WHERE NOT new)
