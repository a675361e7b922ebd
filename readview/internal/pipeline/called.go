package pipeline

// Signs, in the source of a function, that it sets something which outlives its
// statement, and that it changes tables. The variables of PL/pgSQL are declared, too.
const (
	setting  = `(set_config|advisory_(un)?lock|setseed|(;|\mbegin|\mthen|\melse|\mloop|\matomic|^)(\s|--[^\n]*\n|/\*.*?\*/)*(set|reset|open|declare\s[^;]*\mcursor|prepare|deallocate|discard|listen)\s|\mtemp(orary)?\M|\mpg_temp\M|\mexecute\M|query_to_xml)`
	changing = `\m(alter|create|drop)\M`
)

// calledSQL tells, of the functions of these names and of the triggers of tables of these
// names that are not PostgreSQL's own or written in C: whether there are any, whether they
// look as if they set something, and whether they change tables.
const calledSQL = `WITH called AS (
		SELECT p.oid FROM pg_proc p WHERE p.oid >= 16384 AND lower(p.proname) = ANY($1)
		UNION
		SELECT t.tgfoid FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid WHERE c.relname = ANY($2) AND NOT t.tgisinternal
	), source AS (
		SELECT CASE WHEN p.prosrc = '' AND p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) ELSE p.prosrc END AS text
		FROM called JOIN pg_proc p USING (oid) JOIN pg_language l ON l.oid = p.prolang
		WHERE p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal')
	)
	SELECT count(*) > 0, coalesce(bool_or(text ~* $3), false), coalesce(bool_or(text ~* $4), false) FROM source`

// kindAt is what a statement was found to be, for ever or for a page.
type kindAt struct {
	kind textKind
	page int64 // 0 is for ever
}

// kind tells what a statement may do besides reading and writing rows. Functions that
// are not PostgreSQL's own or written in C are looked into, triggers' too.
func (tx *Tx) kind(query string) (textKind, error) {
	if known, ok := tx.kinds[query]; ok && (known.page == 0 || known.page == tx.pages) {
		return known.kind, nil
	}
	at := kindAt{}
	var calls, tables []string
	at.kind, calls, tables = kindOf(query)
	if tx.queue.open == nil && tx.pgx.PgConn().TxStatus() == 'E' {
		return at.kind, nil // nothing can be asked, and nothing but a way back is possible
	}
	if len(calls)+len(tables) > 0 && at.kind < localText {
		if err := tx.flush(); err != nil {
			return 0, err
		}
		var any, sets, changes bool
		err := tx.pgx.QueryRow(tx.ctx, calledSQL, append([]string{}, calls...), append([]string{}, tables...), setting, changing).Scan(&any, &sets, &changes)
		switch {
		case err != nil:
			return 0, err
		case sets:
			at.kind = sessionText
		case changes:
			at.kind = max(at.kind, tableText)
		}
		if any {
			at.page = tx.pages // it may be another one by then
		}
	}
	if len(tx.kinds) >= 4*maxStatements {
		clear(tx.kinds)
	}
	tx.kinds[query] = at
	return at.kind, nil
}
