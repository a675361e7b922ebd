-- What depends on the tables $1 and is not their own: it would stay with the old ones when others take their place.
WITH RECURSIVE decl AS (SELECT unnest($1::oid[]) AS oid),
part (classid, objid) AS ( -- the tables and what is their own: row and array types, indexes, constraints, defaults, own sequences
	SELECT 'pg_class'::regclass::oid, oid FROM decl UNION
	SELECT d.classid, d.objid FROM pg_depend d JOIN part p ON d.refclassid = p.classid AND d.refobjid = p.objid
	WHERE d.deptype IN ('a', 'i') AND d.classid IN ('pg_type'::regclass, 'pg_class'::regclass, 'pg_constraint'::regclass, 'pg_attrdef'::regclass,
			'pg_trigger'::regclass, 'pg_policy'::regclass, 'pg_statistic_ext'::regclass)
		AND NOT (d.classid = 'pg_constraint'::regclass AND (SELECT conrelid FROM pg_constraint WHERE oid = d.objid) NOT IN (SELECT oid FROM decl))
		AND NOT (d.classid = 'pg_class'::regclass AND (SELECT relkind FROM pg_class WHERE oid = d.objid) IN ('r', 'p', 'f', 'v', 'm'))
)
SELECT DISTINCT CASE WHEN d.classid = 'pg_rewrite'::regclass
		THEN (SELECT CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' ELSE 'rule on ' END || c.oid::regclass FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class WHERE w.oid = d.objid)
		ELSE pg_describe_object(d.classid, d.objid, 0) END || ' depends on ' || pg_describe_object(d.refclassid, d.refobjid, 0)
FROM pg_depend d JOIN part p ON d.refclassid = p.classid AND d.refobjid = p.objid
WHERE NOT EXISTS (SELECT FROM part q WHERE q.classid = d.classid AND q.objid = d.objid)
	AND NOT (d.deptype = 'i' AND d.classid = 'pg_trigger'::regclass)
UNION ALL
SELECT 'publication ' || pubname || ' publishes them' FROM pg_publication p
WHERE puballtables OR EXISTS (SELECT FROM pg_publication_namespace n JOIN pg_class c ON c.relnamespace = n.pnnspid WHERE n.pnpubid = p.oid AND c.oid IN (SELECT oid FROM decl))
UNION ALL
SELECT format('%s has been granted privileges on %s by %s, not by the owner', a.grantee::regrole, c.oid::regclass, a.grantor::regrole)
FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a WHERE c.oid IN (SELECT oid FROM decl) AND a.grantor <> c.relowner
ORDER BY 1
