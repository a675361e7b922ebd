package listing_test

import (
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

func TestReadStreams(t *testing.T) { // not parallel: it measures memory
	const rows = 20_000
	tests := []struct{ name, header, row, end string }{
		{"CSV", header, "2026-12-05;21-01;Tollez;Parken;Malung;Malung-Sälen;Dalarna;Kaffe\n", ""},
		{"HTML", "<table>" + htmlHeader, "<tr><td>2026-12-05<td>21-01<td>Tollez<td>Parken<td>Malung<td>Malung-Sälen<td>Dalarna<td>Kaffe\n", "</table>"},
	}
	for _, test := range tests {
		t.Run("a long listing of "+test.name+" takes no more memory than a short one", func(t *testing.T) {
			before, n, most := heap(), 0, uint64(0)
			in := io.MultiReader(strings.NewReader(test.header), &repeat{text: test.row, n: rows}, strings.NewReader(test.end))
			for _, err := range listing.Read(in, listing.Options{}) {
				if err != nil { // asserting each time takes longer than reading
					require.NoError(t, err)
				}
				if n++; n%(rows/4) == 0 {
					most = max(most, heap())
				}
			}
			require.Equal(t, rows, n)
			require.Less(t, most, before+2<<20)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// repeat reads as its text, n times.
type repeat struct {
	text string
	n    int
	rest string
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.n == 0 {
			return 0, io.EOF
		}
		r.n, r.rest = r.n-1, r.text
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
