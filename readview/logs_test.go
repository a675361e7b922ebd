package readview_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// logs are what a component has logged, line by line.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func newLogs() *logs { return &logs{} }

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logs) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// count returns how many lines have all of the words.
func (l *logs) count(words ...string) (lines int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		all := true
		for _, word := range words {
			all = all && strings.Contains(line, word)
		}
		if all {
			lines++
		}
	}
	return lines
}

func (l *logs) wait(t *testing.T, words ...string) {
	t.Helper()
	require.Eventually(t, func() bool { return l.count(words...) > 0 }, time.Minute, 5*time.Millisecond, "a line of the log with %q", words)
}

func first[A, B any](a A, _ B) A { return a }
