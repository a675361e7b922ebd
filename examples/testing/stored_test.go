package main

import (
	"testing"

	"github.com/dancefinder/eventsourcing/eventsourced/eventsourcedtest"
)

// What is stored once is read for ever, by every later version of the program: testdata has it. A new event is written
// there with UPDATE_GOLDEN=1; a change of a file that is there wants an upcaster.
func TestStoredForm(t *testing.T) {
	t.Parallel()
	eventsourcedtest.Golden(t, registry(), "testdata", &Deposited{Amount: 5}, &Withdrawn{Amount: 3})
}
