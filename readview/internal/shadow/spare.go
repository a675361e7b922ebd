package shadow

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// spare returns [ErrImpossible] when rows of other tables refer to rows that are to be deleted, or to get other values there: that would be an
// error, or would change the other rows, too. Those that only follow what they refer to (ON UPDATE CASCADE) may. The rows are locked, so that no
// other refers to them meanwhile. replaced is for the rows that [Set.replace] deletes; otherwise it is those that differ.
func (s *Set) spare(ctx context.Context, conn Conn, schema string, replaced bool) error {
	for _, k := range s.foreign {
		to := s.byName(k.to)
		known := !slices.ContainsFunc(k.refers, func(name string) bool { return to.column(name).LeftOut }) // whether the shadow tells what is referred to
		stays := `false`
		if known {
			stays = `EXISTS (SELECT FROM ` + in(schema)(to) + ` x WHERE ` + k.leads("f", "x") + `)`
		}
		rows, deleted, moved := s.different(to), `d."(del)"`, `false`
		if known {
			moved = `NOT d."(ins)" AND NOT d."(del)" AND ` + image("l", k.refers) + ` *<> ` + image("s", k.refers)
		}
		// What stays may yet be in the other rows' place, which only the server tells.
		fails, changes := `NOT `+stays, `NOT `+stays
		if strings.Contains("cnd", k.onDelete) {
			fails = `true`
		}
		switch {
		case k.onUpdate == "c":
			changes = `false`
		case strings.Contains("nd", k.onUpdate):
			changes = `true`
		}
		if replaced {
			rows, deleted, moved = s.going(to), `true`, `false`
			if k.onDelete != "a" || !k.deferrable {
				fails = `true`
			}
		}
		touched := ` FROM ` + rows + ` d JOIN ` + s.liveTables(to) + ` l ON ` + to.on("l", "d") + ` LEFT JOIN ` + in(schema)(to) + ` s ON ` + to.on("s", "d")
		var n int64
		err := conn.QueryRow(ctx, `WITH l AS (SELECT 1`+touched+` WHERE `+deleted+` OR `+moved+` FOR UPDATE OF l) SELECT count(*) FROM l`).Scan(&n)
		if err != nil {
			return err
		}
		if n == 0 {
			continue // then the other table need not be read
		}
		values := make([]string, len(k.columns))
		for i, c := range k.columns {
			values[i] = "f." + quote(c) + "::text"
		}
		var first *string
		err = conn.QueryRow(ctx, `SELECT count(*), min(concat_ws(', ', `+strings.Join(values, ", ")+`))`+touched+` JOIN `+k.from+` f ON `+k.leads("f", "l")+`
			WHERE `+deleted+` AND `+fails+` OR `+moved+` AND `+changes).Scan(&n, &first)
		if err != nil {
			return fmt.Errorf("look for rows of %s that refer to rows of %s which are to go: %w", k.from, k.to, err)
		}
		if n > 0 {
			how := "be deleted, or get another key"
			if replaced {
				how = "be deleted and inserted again"
			}
			return fmt.Errorf("%w: by the foreign key %s, %d of the rows of %s refer to rows of %s that would have to %s, the first to (%s)=(%s), and rows of other tables are left alone: delete them, or let them refer to other rows, and run it again",
				ErrImpossible, k.name, n, k.from, k.to, how, strings.Join(k.refers, ", "), *first)
		}
	}
	return nil
}
