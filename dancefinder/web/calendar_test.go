package web_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	ical "github.com/emersion/go-ical"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/web/webtest"
)

// parse reads a calendar with a library that has nothing to do with the one that wrote
// it, and returns its dances by summary.
func parse(t *testing.T, text string) map[string]ical.Event {
	t.Helper()
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n"), "\r\n") {
		require.LessOrEqual(t, len(line), 75, "%q is folded", line)
		require.NotContains(t, line, "\n", "lines end with CRLF")
	}
	calendar, err := ical.NewDecoder(strings.NewReader(text)).Decode()
	require.NoError(t, err)
	require.Equal(t, "2.0", calendar.Props.Get(ical.PropVersion).Value)
	zones := 0
	for _, child := range calendar.Children {
		if child.Name == ical.CompTimezone {
			zones++
			require.Equal(t, "Europe/Stockholm", child.Props.Get(ical.PropTimezoneID).Value)
			require.Len(t, child.Children, 2)
			for _, change := range child.Children {
				rule, err := change.Props.RecurrenceRule()
				require.NoError(t, err)
				require.NotNil(t, rule)
			}
		}
	}
	require.Equal(t, 1, zones)
	events := map[string]ical.Event{}
	for _, e := range calendar.Events() {
		summary, err := e.Props.Text(ical.PropSummary)
		require.NoError(t, err)
		events[summary] = e
	}
	return events
}

func TestCalendarFile(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	long := strings.Repeat("Åäö; och, \\ så vidare. ", 12)
	dance := func(date, start, end, band, extra string) webtest.Dance {
		return webtest.NewDance(date, start, end, band, "Parken, Stora", "Mora", "Mora", "Dalarna", extra)
	}
	site.Add(
		dance("2026-11-28", "21:00", "01:00", "Midnatt", long),
		dance("2026-03-28", "21:00", "03:30", "Vår", ""),
		dance("2026-10-24", "21:00", "03:30", "Höst", ""),
		dance("2026-07-04", "19:00", "", "Utan slut", ""),
		dance("2026-07-05", "", "", "Utan tid", ""),
		dance("2026-07-06", "19:00", "23:00", "Inställda", "Inställt"),
		dance("2026-07-07", "19:00", "23:00", `<script>alert(1)</script>`+"\u2028;,", ""),
	)
	v := visit(t, site, "")
	a := v.get("/kalender.ics?period=egna&fran=2026-01-01&till=2026-12-31")
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, "text/calendar; charset=utf-8", a.header.Get("Content-Type"))
	events := parse(t, a.body)
	require.Len(t, events, 7)
	zone, err := time.LoadLocation("Europe/Stockholm")
	require.NoError(t, err)
	for summary, want := range map[string]struct{ start, end string }{
		"Midnatt": {"2026-11-28T20:00:00Z", "2026-11-29T00:00:00Z"},
		"Vår":     {"2026-03-28T20:00:00Z", "2026-03-29T01:30:00Z"}, // 5.5 hours by the clock's hand, of which one did not happen
		"Höst":    {"2026-10-24T19:00:00Z", "2026-10-25T02:30:00Z"}, // and one came twice
	} {
		e := events[summary]
		start, err := e.DateTimeStart(zone)
		require.NoError(t, err)
		end, err := e.DateTimeEnd(zone)
		require.NoError(t, err)
		require.Equal(t, want.start, start.UTC().Format(time.RFC3339), summary)
		require.Equal(t, want.end, end.UTC().Format(time.RFC3339), summary)
		require.Equal(t, "Europe/Stockholm", e.Props.Get(ical.PropDateTimeStart).Params.Get(ical.ParamTimezoneID))
	}
	text := func(summary, property string) string {
		value, err := events[summary].Props.Text(property)
		require.NoError(t, err)
		return value
	}
	require.Equal(t, strings.TrimSpace(long), text("Midnatt", ical.PropDescription))
	require.Equal(t, "Parken, Stora, Mora, Dalarna", text("Midnatt", ical.PropLocation))
	require.Regexp(t, `^61\.\d+;14\.\d+$`, events["Midnatt"].Props.Get(ical.PropGeo).Value)
	require.Nil(t, events["Utan slut"].Props.Get(ical.PropDateTimeEnd))
	require.Equal(t, ical.ValueDate, events["Utan tid"].Props.Get(ical.PropDateTimeStart).ValueType())
	require.Equal(t, "20260705", events["Utan tid"].Props.Get(ical.PropDateTimeStart).Value)
	require.Equal(t, "CANCELLED", text("Inställt: Inställda", ical.PropStatus))
	require.Equal(t, "CONFIRMED", text("Midnatt", ical.PropStatus))
	require.Contains(t, a.body, "<script>", "it is text here")
}

func TestCalendarKeepsWhoADanceIs(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	id := site.Add(webtest.Pictures[0])[0]
	v := visit(t, site, "")
	path := "/dans/" + string(id) + ".ics"
	before := parse(t, v.get(path).body)["Björkz"]
	details := domain.EventDetails{
		Date: "2026-11-26", StartTime: "19:30", BandID: domain.BandID(webtest.Band("Björkz")),
		DanceHallID: domain.DanceHallIDFor("Furuparken", domain.Place{City: "Falun", Municipality: "Falun", State: "Dalarna"}),
	}
	require.Eventually(t, func() bool { // the version is a number of seconds
		details.ExtraInfo += "."
		_, _, err := site.Service.UpdateEvent(t.Context(), domain.UpdateEvent{EventID: id, EventDetails: details})
		require.NoError(t, err)
		site.Wait()
		return parse(t, v.get(path).body)["Björkz"].Props.Get(ical.PropSequence).Value != "0"
	}, 10*time.Second, 100*time.Millisecond)
	after := parse(t, v.get(path).body)["Björkz"]
	require.Equal(t, before.Props.Get(ical.PropUID).Value, after.Props.Get(ical.PropUID).Value)
	require.Equal(t, string(id)+"@dancefinder", after.Props.Get(ical.PropUID).Value)
	require.Equal(t, "0", before.Props.Get(ical.PropSequence).Value)
	require.NotEqual(t, before.Props.Get(ical.PropLastModified).Value, after.Props.Get(ical.PropLastModified).Value)
}

func TestCalendarLink(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	site.Add(webtest.Pictures...)
	v := visit(t, site, "Anna")
	v.post("/hemort", url.Values{"ny": {"Mora"}})
	v.post("/dolj", url.Values{"vad": {"BAND:" + webtest.Band("Tallmoz")}})
	address := regexp.MustCompile(`value="(http://[^"]*)(/kalender/[^"]*)"`)
	link := func(a answer) string {
		t.Helper()
		found := address.FindStringSubmatch(a.body)
		require.NotNil(t, found)
		require.Equal(t, site.URL, found[1])
		return strings.ReplaceAll(found[2], "&amp;", "&")
	}
	a := v.post("/kalender", url.Values{"vad": {"ny"}, "pa": {"/kalender"}, "q": {"inom=50"}})
	require.Contains(t, a.text(t), "Länken är hemlig. Den som har den ser din lista.")
	first := link(a)
	require.Contains(t, first, "inom=50")
	require.NotRegexp(t, address, v.get("/kalender").body, "it is shown once")

	somebody := visit(t, site, "")
	got := somebody.get(first)
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "no-referrer", got.header.Get("Referrer-Policy"))
	require.Equal(t, "private, no-store", got.header.Get("Cache-Control"))
	events := parse(t, got.body)
	require.Contains(t, events, "Rydholmz")
	require.NotContains(t, events, "Tallmoz", "what is hidden is not in the calendar")
	require.NotContains(t, events, "Sågbergs kvintett", "nor what is too far away")

	a = v.post("/kalender", url.Values{"vad": {"ny"}, "pa": {"/kalender"}})
	second := link(a)
	require.Equal(t, http.StatusNotFound, somebody.get(first).status)
	require.Equal(t, http.StatusOK, somebody.get(second).status)
	a = v.post("/kalender", url.Values{"vad": {"bort"}, "pa": {"/kalender"}})
	require.Contains(t, a.text(t), "Länken är borttagen.")
	require.Equal(t, http.StatusNotFound, somebody.get(second).status)
	require.Equal(t, http.StatusUnauthorized, somebody.post("/kalender", url.Values{"vad": {"ny"}}).status)

	var stored string
	require.NoError(t, site.Pool.QueryRow(t.Context(), `SELECT string_agg(payload::text, ' ') FROM events WHERE payload::text LIKE '%hash%'`).Scan(&stored))
	secret, _, _ := strings.Cut(strings.TrimPrefix(first, "/kalender/"), ".ics")
	require.Greater(t, len(secret), 40)
	require.NotContains(t, stored, secret, "only its hash is stored")
}
