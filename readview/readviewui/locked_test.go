package readviewui_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// Whoever locks the log's table, or that of the positions, keeps everybody from everything: the page says who, and ends it.
func TestATableThatSomebodyLocks(t *testing.T) {
	t.Parallel()
	for table, says := range map[string]struct{ title, what string }{
		"events":    {"Appends wait or fail", "wait for a lock that another session holds"},
		"readviews": {"Not known just now", "is locked by another session"},
	} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, readviewui.Config{Authorize: operators})
			require.NoError(t, s.manager.WaitFor(t.Context(), s.deposit("anna", 5)))
			tx, err := s.pool.Begin(t.Context())
			require.NoError(t, err)
			defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
			var pid int
			require.NoError(t, tx.QueryRow(t.Context(), `SELECT pg_backend_pid()`).Scan(&pid))
			_, err = tx.Exec(t.Context(), `LOCK TABLE `+table)
			require.NoError(t, err)

			var text string
			require.Eventually(t, func() bool {
				text = s.page("")
				return strings.Contains(text, fmt.Sprintf("End session %d…", pid))
			}, 30*time.Second, 100*time.Millisecond)
			require.Contains(t, text, says.title)
			require.Contains(t, text, says.what)
			require.NotContains(t, text, "does not answer")
			log := s.page("log")
			require.Contains(t, log, says.what)
			link := regexp.MustCompile(fmt.Sprintf(`href="(confirm\?[^"]*pid=%d[^"]*)"`, pid)).FindStringSubmatch(log)
			require.NotNil(t, link, log)
			values := form("end-session", "", "kind", "log", "reason", "forgotten", "typed", fmt.Sprint(pid))
			for _, of := range []string{"pid", "connected"} {
				values.Set(of, regexp.MustCompile(of + `=(\d+)`).FindStringSubmatch(link[1])[1])
			}
			response, answer := s.operator(values)
			require.Equal(t, http.StatusSeeOther, response.StatusCode, answer)
			s.overview("All 2 live")
		})
	}
}
