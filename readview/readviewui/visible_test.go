package readviewui_test

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// Who names an account can't have what stands after its name read backwards.
func TestTextThatTurnsAround(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Authorize: operators})
	_, err := s.pool.Exec(t.Context(), `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused for %', NEW.id; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON account FOR EACH ROW EXECUTE FUNCTION refuse()`)
	require.NoError(t, err)
	const name = "anna\u202e\u2066\u200f\u061cgnihton"
	const shown = `anna\u202e\u2066\u200f\u061cgnihton`
	s.deposit(name, 5)
	s.until("accounts", failed)
	input := regexp.MustCompile(`<input[^>]*>`)
	turns := func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }
	for _, path := range []string{"", accounts, "events?aggregate=bank.Account&id=" + url.QueryEscape(name), "stream?aggregate=bank.Account&id=" + url.QueryEscape(name)} {
		text := s.page(path)
		require.Contains(t, text, shown, path)
		require.Equal(t, -1, strings.IndexFunc(input.ReplaceAllString(text, ""), turns), path)
	}
	_, text := s.send("GET", accounts, nil, "Accept", "application/json")
	require.Equal(t, -1, strings.IndexFunc(text, turns))
	var page struct{ Error string }
	require.NoError(t, json.Unmarshal([]byte(text), &page))
	require.Contains(t, page.Error, "refused for "+name, "which is the same to a program")
	require.Contains(t, s.page("operations?q="+url.QueryEscape(name)), `value="`+name+`"`, "what is sent back is as it was")
}
