package pgstore

import (
	"math"
	"math/bits"
	"time"
)

// AppendTotals are what a process has appended to the log since it began. Those of a time are the
// difference of two of them, see [AppendTotals.Since].
type AppendTotals struct {
	Transactions int64 // that appended, also those that failed
	Appends      int64 // that went together in them
	Events       int64 // of those that were appended
	Conflicts    int64 // appends that found their stream not as expected
	Failed       int64 // transactions of which nothing was decided

	// LockWaits has the transactions by how long the server waited for the log's lock: under a
	// microsecond, under 2, under 4 and so on. The last one has all that were longer.
	LockWaits [32]int64
}

// Appends returns what this process has appended through the store.
func (s *Store) Appends() AppendTotals {
	s.totals.Lock()
	defer s.totals.Unlock()
	return s.totals.AppendTotals
}

func (t *AppendTotals) add(stats AppendStats) {
	t.Transactions++
	t.Appends += int64(stats.Appends)
	t.Events += int64(stats.Events)
	t.Conflicts += int64(stats.Conflicts)
	if stats.Err != nil {
		t.Failed++
	}
	t.LockWaits[min(bits.Len64(uint64(max(stats.LockWait.Microseconds(), 0))), len(t.LockWaits)-1)]++
}

// Since returns what was appended since earlier.
func (t AppendTotals) Since(earlier AppendTotals) AppendTotals {
	t.Transactions -= earlier.Transactions
	t.Appends -= earlier.Appends
	t.Events -= earlier.Events
	t.Conflicts -= earlier.Conflicts
	t.Failed -= earlier.Failed
	for i := range t.LockWaits {
		t.LockWaits[i] -= earlier.LockWaits[i]
	}
	return t
}

// GroupSize returns how many appends went together in a transaction, on average; 0 when there was none.
func (t AppendTotals) GroupSize() float64 {
	if t.Transactions == 0 {
		return 0
	}
	return float64(t.Appends) / float64(t.Transactions)
}

// LockWait returns the time that no more than the given part of the transactions, such as 0.99, waited
// for longer for the log's lock, up to a power of two; 0 when there was none.
func (t AppendTotals) LockWait(part float64) time.Duration {
	var all, seen int64
	for _, n := range t.LockWaits {
		all += n
	}
	if all == 0 {
		return 0
	}
	wanted := max(int64(math.Ceil(part*float64(all))), 1)
	i := 0
	for ; i < len(t.LockWaits)-1; i++ {
		if seen += t.LockWaits[i]; seen >= wanted {
			break
		}
	}
	return time.Microsecond << i
}
