package eventsourced_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

const someUUID = "01890a5d-ac96-774b-bcce-b302099a8057"

func TestNewEventID(t *testing.T) {
	t.Parallel()
	t.Run("is a UUID of version 7 with the time of its making", func(t *testing.T) {
		t.Parallel()
		before := time.Now().UnixMilli()
		id := eventsourced.NewEventID()
		after := time.Now().UnixMilli()
		require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, id.String())
		made := milliseconds(id)
		require.LessOrEqual(t, before, made)
		require.LessOrEqual(t, made, after)
		require.False(t, id.IsZero())
	})
	t.Run("never gives an id twice, nor one of another version or variant", func(t *testing.T) {
		t.Parallel()
		seen := map[eventsourced.EventID]bool{}
		for range 20_000 {
			id := eventsourced.NewEventID()
			require.False(t, seen[id])
			require.EqualValues(t, 7, id[6]>>4, "version")
			require.EqualValues(t, 0b10, id[8]>>6, "variant")
			seen[id] = true
		}
	})
	t.Run("gives a higher id in a later millisecond, as bytes and as text", func(t *testing.T) {
		t.Parallel()
		first := eventsourced.NewEventID()
		later := first
		for milliseconds(later) == milliseconds(first) {
			later = eventsourced.NewEventID()
		}
		require.Less(t, string(first[:]), string(later[:]))
		require.Less(t, first.String(), later.String())
	})
}

// milliseconds returns the first 48 bits.
func milliseconds(id eventsourced.EventID) (ms int64) {
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	return ms
}

func TestParseEventID(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"version 7":     someUUID,
		"version 4":     "3f0c64ae-1d2b-4c3d-9e5f-0123456789ab",
		"the nil UUID":  "00000000-0000-0000-0000-000000000000",
		"the max UUID":  "ffffffff-ffff-ffff-ffff-ffffffffffff",
		"a new one":     eventsourced.NewEventID().String(),
		"an odd layout": "00010203-0405-0607-0809-0a0b0c0d0e0f",
	} {
		t.Run("reads what String writes: "+name, func(t *testing.T) {
			t.Parallel()
			id, err := eventsourced.ParseEventID(text)
			require.NoError(t, err)
			require.Equal(t, text, id.String())
			upper, err := eventsourced.ParseEventID(strings.ToUpper(text))
			require.NoError(t, err)
			require.Equal(t, id, upper)
		})
	}
	t.Run("puts each byte in its place", func(t *testing.T) {
		t.Parallel()
		id, err := eventsourced.ParseEventID("00010203-0405-0607-0809-0a0b0c0d0e0f")
		require.NoError(t, err)
		require.Equal(t, eventsourced.EventID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, id)
	})
	for name, text := range map[string]string{
		"an empty text":         "",
		"one digit less":        someUUID[1:],
		"one digit more":        someUUID + "0",
		"braces":                "{" + someUUID + "}",
		"no dashes":             strings.ReplaceAll(someUUID, "-", ""),
		"a dash elsewhere":      "01890a5da-c96-774b-bcce-b302099a8057",
		"another sign for it":   strings.ReplaceAll(someUUID, "-", "_"),
		"a letter that is none": "g" + someUUID[1:],
		"a dash for a digit":    someUUID[:35] + "-",
		"letters of two bytes":  "ö" + someUUID[2:],
		"something else":        strings.Repeat("x", 10_000),
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			t.Parallel()
			id, err := eventsourced.ParseEventID(text)
			require.ErrorContains(t, err, "event id ")
			require.Less(t, len(err.Error()), 200)
			require.True(t, id.IsZero())
		})
	}
}

func TestEventIDAsJSON(t *testing.T) {
	t.Parallel()
	id, err := eventsourced.ParseEventID(someUUID)
	require.NoError(t, err)
	type document struct {
		ID   eventsourced.EventID         `json:"id"`
		Seen map[eventsourced.EventID]int `json:"seen"`
	}
	text, err := json.Marshal(document{id, map[eventsourced.EventID]int{id: 1}})
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"`+someUUID+`","seen":{"`+someUUID+`":1}}`, string(text))

	var back document
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, id, back.ID)
	require.Equal(t, 1, back.Seen[id])

	require.ErrorContains(t, json.Unmarshal([]byte(`{"id":"nonsense"}`), &back), `event id "nonsense"`)
	require.Equal(t, id, back.ID, "an id that can't be read changes nothing")
}

func FuzzParseEventID(f *testing.F) {
	for _, seed := range []string{"", someUUID, strings.ToUpper(someUUID), someUUID[:35] + "-", strings.Repeat("-", 36)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := eventsourced.ParseEventID(text)
		if err != nil {
			require.True(t, id.IsZero())
			return
		}
		require.Equal(t, strings.ToLower(text), id.String())
		again, err := eventsourced.ParseEventID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, again)
	})
}
