package eventsourced_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

func TestExpected(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		expected eventsourced.Expected
		text     string
		allows   []eventsourced.Version // of 0, 1, 2 and 3
	}{
		"Any allows every stream":             {eventsourced.Any, "any version", []eventsourced.Version{0, 1, 2, 3}},
		"NoStream allows none with events":    {eventsourced.NoStream, "no stream", []eventsourced.Version{0}},
		"the zero value is NoStream":          {eventsourced.Expected{}, "no stream", []eventsourced.Version{0}},
		"StreamExists allows all with events": {eventsourced.StreamExists, "an existing stream", []eventsourced.Version{1, 2, 3}},
		"AtVersion allows its version only":   {eventsourced.AtVersion(2), "version 2", []eventsourced.Version{2}},
		"AtVersion of 0 is NoStream":          {eventsourced.AtVersion(0), "no stream", []eventsourced.Version{0}},
		"a negative version is NoStream too":  {eventsourced.AtVersion(-2), "no stream", []eventsourced.Version{0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.text, c.expected.String())
			var allowed []eventsourced.Version
			for version := range eventsourced.Version(4) {
				if c.expected.Allows(version) {
					allowed = append(allowed, version)
				}
			}
			require.Equal(t, c.allows, allowed)
		})
	}
}
