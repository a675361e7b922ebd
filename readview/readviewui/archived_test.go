package readviewui_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// What is archived is not listed, and the pages say so, up to where, and how it is found.
func TestPagesSayWhatIsArchived(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{})
	first, second, third := s.deposit("anna", 1), s.deposit("anna", 2), s.deposit("anna", 3)
	require.NoError(t, s.manager.WaitFor(t.Context(), third))
	_, err := s.pool.Exec(t.Context(), `INSERT INTO log_archive (last, first, events, names, file, bytes, sha256) VALUES ($1, $2, 2, '{}', 'x', 1, '')`, int64(second), int64(first))
	require.NoError(t, err)
	for _, path := range []string{"events", "stream?aggregate=bank.Account&id=anna"} {
		t.Run(path, func(t *testing.T) {
			response, text := s.send("GET", path, nil)
			require.Equal(t, http.StatusOK, response.StatusCode, text)
			require.Contains(t, text, "Showing 1")
			require.Contains(t, text, "Events up to position ")
			require.Contains(t, text, "are in the archive")
			require.Contains(t, text, "By its position each of them is found")
		})
	}
}
