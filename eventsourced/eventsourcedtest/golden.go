package eventsourcedtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// UpdateVariable is the environment variable that has [Golden] write the files, when it is
// not empty.
const UpdateVariable = "UPDATE_GOLDEN"

// Golden fails the test unless the events are stored as the files of dir say, so that nobody
// changes by accident what is in the log for ever: a field that is renamed is a change of the
// file. There is one for each name and schema version, such as testdata/Deposited.1.json; the
// environment variable [UpdateVariable] writes those of today, and never an older one. Each
// name of the registry needs one event; and all files, also those of older schema versions
// and of names that are gone, have to be decoded still.
//
//	eventsourcedtest.Golden(t, bank.Registry(), "testdata", &Deposited{Amount: 5}, &Closed{})
func Golden(t testing.TB, registry *eventsourced.Registry, dir string, events ...eventsourced.Event) {
	t.Helper()
	encoded, err := registry.Encode(t.Context(), events...)
	require.NoError(t, err)
	missing := map[string]bool{}
	for _, name := range registry.Names() {
		missing[name] = true
	}
	for _, event := range encoded {
		require.True(t, missing[event.Name], "two events are named %s, and would be one file", event.Name)
		delete(missing, event.Name)
		var stored bytes.Buffer
		require.NoError(t, json.Indent(&stored, event.Payload, "", "  "))
		stored.WriteByte('\n')
		file := filepath.Join(dir, fmt.Sprintf("%s.%d.json", url.PathEscape(event.Name), event.SchemaVersion))
		if os.Getenv(UpdateVariable) != "" {
			require.NoError(t, os.MkdirAll(dir, 0o750))
			require.NoError(t, os.WriteFile(file, stored.Bytes(), 0o600))
		}
		want, err := os.ReadFile(file) //nolint:gosec // the caller's
		require.NoError(t, err, "run the test with %s=1 to write it, if the event is new", UpdateVariable)
		require.Equal(t, string(want), stored.String(),
			"%s is stored in another way than before: add an upcaster, or run the test with %s=1 if none is in any log", event.Name, UpdateVariable)
	}
	require.Empty(t, missing, "events of the registry that were not given")
	decodeAll(t, registry, dir)
}

// decodeAll decodes what the files have, whatever wrote them.
func decodeAll(t testing.TB, registry *eventsourced.Registry, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.*.json"))
	require.NoError(t, err)
	for _, file := range files {
		payload, err := os.ReadFile(file) //nolint:gosec // the caller's
		require.NoError(t, err)
		base := strings.TrimSuffix(filepath.Base(file), ".json")
		dot := strings.LastIndex(base, ".")
		name, err := url.PathUnescape(base[:dot])
		require.NoError(t, err, file)
		schemaVersion, err := strconv.Atoi(base[dot+1:])
		require.NoError(t, err, file)
		_, err = registry.Decode(t.Context(), eventsourced.Recorded{
			EventData: eventsourced.EventData{ID: eventsourced.NewEventID(), Name: name, SchemaVersion: schemaVersion, Payload: payload},
			Stream:    eventsourced.Stream{AggregateName: "golden", AggregateID: ID},
			Version:   1,
			Position:  1,
		})
		require.NoError(t, err, file)
	}
}
