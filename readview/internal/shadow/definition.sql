-- What the catalogue has of the tables $1, as the search path prints it: of which of them, when a shadow gets it, what it is, its name, its definition,
-- and the statement that makes it, with E'\x01' for the name of the table and E'\x02' for that of its schema.
--
-- stage: 0 with the table, 1 before the replay, 2 at its end, 3 when the other tables are there, 4 only if it is to take the place of the table, 5 likewise, at the
-- end of the replay
--
-- One statement for all of them: to plan it takes the server longer than to run it.
SELECT asked.number, p.* FROM unnest($1::oid[]) WITH ORDINALITY AS asked (oid, number) CROSS JOIN LATERAL (
WITH t AS (SELECT * FROM pg_class WHERE oid = asked.oid),
owned AS ( -- its sequences: those of serials are made by name, those of identities come with the columns
	SELECT s.*, c.relname, quote_ident(c.relname) AS name, a.attname, a.attidentity, c.relacl, c.relowner FROM pg_depend d
	JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_sequence s ON s.seqrelid = c.oid
	JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
	WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = asked.oid AND d.deptype IN ('a', 'i')
),
granted AS (
	SELECT '' AS on_what, NULL::text AS of_column, (aclexplode(relacl)).* FROM t UNION ALL
	SELECT '', quote_ident(a.attname), (aclexplode(a.attacl)).* FROM t JOIN pg_attribute a ON a.attrelid = t.oid UNION ALL
	SELECT 'SEQUENCE ' || E'\x02.' || name, NULL, (aclexplode(relacl)).* FROM owned
),
part (stage, kind, name, text, statement) AS (
	SELECT 0, '_ column', lpad(row_number() OVER (ORDER BY a.attnum)::text, 4, '0') || ' ' || a.attname,
		concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'NOT NULL' END, nullif(a.attidentity::text, ''), nullif(a.attgenerated::text, ''),
			(SELECT quote_ident(collname) FROM pg_collation WHERE oid = a.attcollation AND collname <> 'default'),
			CASE WHEN a.attgenerated <> '' THEN (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = t.oid AND adnum = a.attnum) END), ''
	FROM t JOIN pg_attribute a ON a.attrelid = t.oid WHERE a.attnum > 0 AND NOT a.attisdropped
	UNION ALL
	SELECT 1, 'a sequence', relname, '', format('CREATE SEQUENCE %s AS %s START %s INCREMENT %s MINVALUE %s MAXVALUE %s CACHE %s %s OWNED BY %s.%I',
		E'\x02.' || name, format_type(seqtypid, NULL), seqstart, seqincrement, seqmin, seqmax, seqcache, CASE WHEN seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END, E'\x01', attname)
	FROM owned WHERE attidentity = ''
	UNION ALL
	SELECT 1, 'b default', a.attname, pg_get_expr(d.adbin, d.adrelid), format('ALTER TABLE %s ALTER %I SET DEFAULT %s', E'\x01', a.attname, pg_get_expr(d.adbin, d.adrelid))
	FROM t JOIN pg_attribute a ON a.attrelid = t.oid JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum WHERE a.attgenerated = ''
	UNION ALL
	SELECT 1, 'c constraint', c.conname, pg_get_constraintdef(c.oid), format('ALTER TABLE %s ADD CONSTRAINT %I %s', E'\x01', c.conname, pg_get_constraintdef(c.oid))
	FROM t JOIN pg_constraint c ON c.conrelid = t.oid WHERE c.contype IN ('c', 'p', 'u', 'x')
	UNION ALL
	SELECT CASE WHEN i.indisunique THEN 1 ELSE 2 END, 'd index', c.relname, pg_get_indexdef(i.indexrelid, 0, true),
		regexp_replace(pg_get_indexdef(i.indexrelid, 0, true), ' ON ' || regexp_replace(quote_ident(t.relname), '([^[:alnum:]_])', '\\\1', 'g') || ' USING ', ' ON ' || E'\x01' || ' USING ')
	FROM t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid
	WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND conrelid = t.oid AND contype IN ('p', 'u', 'x'))
	UNION ALL
	SELECT 1, 'e trigger', tgname, pg_get_triggerdef(g.oid, true) || ' ' || tgenabled::text, regexp_replace(pg_get_triggerdef(g.oid, true), ' ON ' || regexp_replace(quote_ident(t.relname), '([^[:alnum:]_])', '\\\1', 'g') || ' ', ' ON ' || E'\x01' || ' ')
	FROM t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT tgisinternal
	UNION ALL
	SELECT 1, 'f trigger state', tgname, tgenabled::text, format('ALTER TABLE %s %s TRIGGER %I', E'\x01', CASE tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE REPLICA' END, tgname)
	FROM t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT tgisinternal AND tgenabled <> 'O'
	UNION ALL
	SELECT CASE WHEN c.confrelid = ANY($1) THEN 3 ELSE 4 END, 'g reference', c.conname, pg_get_constraintdef(c.oid), format('ALTER TABLE %s ADD CONSTRAINT %I %s', E'\x01', c.conname, pg_get_constraintdef(c.oid))
	FROM t JOIN pg_constraint c ON c.conrelid = t.oid WHERE c.contype = 'f' AND c.conparentid = 0
	-- What only counts when it takes the place of the table.
	UNION ALL
	SELECT 4, 'h options', '', array_to_string(reloptions, ', '), format('ALTER TABLE %s SET (%s)', E'\x01', array_to_string(reloptions, ', ')) FROM t WHERE reloptions IS NOT NULL
	UNION ALL
	SELECT 4, 'h options', 'toast', text, format('ALTER TABLE %s SET (%s)', E'\x01', text)
	FROM t CROSS JOIN LATERAL (SELECT string_agg('toast.' || o, ', ') AS text FROM pg_class c CROSS JOIN unnest(c.reloptions) AS o WHERE c.oid = t.reltoastrelid) AS toast WHERE text IS NOT NULL
	UNION ALL
	SELECT 4, 'h options', c.relname, array_to_string(c.reloptions, ', '), format('ALTER INDEX %s SET (%s)', E'\x02.' || quote_ident(c.relname), array_to_string(c.reloptions, ', '))
	FROM t JOIN pg_constraint n ON n.conrelid = t.oid AND n.contype IN ('p', 'u', 'x') JOIN pg_class c ON c.oid = n.conindid WHERE c.reloptions IS NOT NULL
	UNION ALL
	SELECT 4, 'i identity sequence', c.relname, '', format('ALTER SEQUENCE %s RENAME TO %s', E'\x03' || c.attname || E'\x03', c.name) FROM owned c WHERE attidentity <> ''
	UNION ALL
	SELECT 4, 'j statistics target', a.attname, a.attstattarget::text, format('ALTER TABLE %s ALTER %I SET STATISTICS %s', E'\x01', a.attname, a.attstattarget)
	FROM t JOIN pg_attribute a ON a.attrelid = t.oid WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attstattarget >= 0
	UNION ALL
	SELECT 4, 'j column options', a.attname, array_to_string(a.attoptions, ', '), format('ALTER TABLE %s ALTER %I SET (%s)', E'\x01', a.attname, array_to_string(a.attoptions, ', '))
	FROM t JOIN pg_attribute a ON a.attrelid = t.oid WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attoptions IS NOT NULL
	UNION ALL
	SELECT 5, 'j index statistics target', c.relname || ' ' || a.attnum, a.attstattarget::text, format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', E'\x02.' || quote_ident(c.relname), a.attnum, a.attstattarget)
	FROM t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_attribute a ON a.attrelid = c.oid WHERE a.attstattarget >= 0
	UNION ALL
	SELECT 4, 'k statistics', e.stxname, regexp_replace(pg_get_statisticsobjdef(e.oid), '^CREATE STATISTICS \S+', ''),
		regexp_replace(regexp_replace(pg_get_statisticsobjdef(e.oid), '^CREATE STATISTICS \S+', 'CREATE STATISTICS ' || E'\x02.' || quote_ident(e.stxname)), ' FROM \S+$', ' FROM ' || E'\x01')
	FROM t JOIN pg_statistic_ext e ON e.stxrelid = t.oid
	UNION ALL
	SELECT 4, 'l statistics target', e.stxname, e.stxstattarget::text, format('ALTER STATISTICS %s SET STATISTICS %s', E'\x02.' || quote_ident(e.stxname), e.stxstattarget)
	FROM t JOIN pg_statistic_ext e ON e.stxrelid = t.oid WHERE e.stxstattarget >= 0
	UNION ALL
	SELECT 4, 'm replica identity', '', relreplident::text || coalesce(c.relname, ''), format('ALTER TABLE %s REPLICA IDENTITY %s', E'\x01', CASE relreplident WHEN 'n' THEN 'NOTHING' WHEN 'f' THEN 'FULL' ELSE 'USING INDEX ' || quote_ident(c.relname) END)
	FROM t LEFT JOIN LATERAL (SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = t.oid AND i.indisreplident) c ON true WHERE relreplident <> 'd'
	UNION ALL
	SELECT 5, 'm cluster', c.relname, '', format('ALTER TABLE %s CLUSTER ON %I', E'\x01', c.relname)
	FROM t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indisclustered
	UNION ALL
	SELECT 4, 'n policy', polname, text, format('CREATE POLICY %I ON %s %s', polname, E'\x01', text)
	FROM t JOIN pg_policy p ON p.polrelid = t.oid CROSS JOIN LATERAL (SELECT concat_ws(' ', CASE WHEN polpermissive THEN 'AS PERMISSIVE' ELSE 'AS RESTRICTIVE' END,
		'FOR ' || CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
		'TO ' || (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END, ', ') FROM unnest(polroles) AS r),
		'USING (' || pg_get_expr(polqual, polrelid) || ')', 'WITH CHECK (' || pg_get_expr(polwithcheck, polrelid) || ')') AS text) AS x
	UNION ALL
	SELECT 4, 'n row security', what, '', format('ALTER TABLE %s %s ROW LEVEL SECURITY', E'\x01', what) FROM t CROSS JOIN (VALUES ('ENABLE'), ('FORCE')) AS v (what)
	WHERE CASE what WHEN 'ENABLE' THEN relrowsecurity ELSE relforcerowsecurity END
	UNION ALL
	SELECT 4, 'o owner', '', pg_get_userbyid(relowner), format('ALTER TABLE %s OWNER TO %I', E'\x01', pg_get_userbyid(relowner)) FROM t
	UNION ALL
	SELECT 4, 'p revoke', '', '', format('REVOKE ALL ON %s FROM PUBLIC, %I', E'\x01', pg_get_userbyid(relowner)) FROM t WHERE relacl IS NOT NULL
	UNION ALL
	SELECT 4, 'p revoke', name, '', format('REVOKE ALL ON SEQUENCE %s FROM PUBLIC, %I', E'\x02.' || name, pg_get_userbyid(relowner)) FROM owned WHERE relacl IS NOT NULL
	UNION ALL
	SELECT 4, 'q grant', concat_ws(' ', on_what, of_column, privilege_type, grantee::regrole), is_grantable::text,
		format('GRANT %s ON %s TO %s', concat_ws(' ', privilege_type, '(' || of_column || ')'), coalesce(nullif(on_what, ''), E'\x01'), CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
			|| CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
	FROM granted
	UNION ALL
	SELECT CASE WHEN what LIKE 'INDEX %' THEN 5 ELSE 4 END, 'r comment', what, d, format('COMMENT ON %s IS %L', what, d) FROM (
		SELECT 'TABLE ' || E'\x01', obj_description(asked.oid, 'pg_class') UNION ALL
		SELECT format('CONSTRAINT %I ON %s', conname, E'\x01'), obj_description(c.oid, 'pg_constraint') FROM pg_constraint c WHERE conrelid = asked.oid UNION ALL
		SELECT format('INDEX %s', E'\x02.' || quote_ident(c.relname)), obj_description(c.oid, 'pg_class') FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE indrelid = asked.oid UNION ALL
		SELECT format('TRIGGER %I ON %s', tgname, E'\x01'), obj_description(g.oid, 'pg_trigger') FROM pg_trigger g WHERE tgrelid = asked.oid AND NOT tgisinternal UNION ALL
		SELECT format('POLICY %I ON %s', polname, E'\x01'), obj_description(p.oid, 'pg_policy') FROM pg_policy p WHERE polrelid = asked.oid UNION ALL
		SELECT format('STATISTICS %s', E'\x02.' || quote_ident(stxname)), obj_description(e.oid, 'pg_statistic_ext') FROM pg_statistic_ext e WHERE stxrelid = asked.oid
	) AS c (what, d) WHERE d IS NOT NULL
)
SELECT stage, kind, name::text, coalesce(text, '')::text AS text, statement FROM part
) AS p ORDER BY number, stage, kind, name
