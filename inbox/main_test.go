package inbox_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/dancefinder/eventsourcing/internal/testdb"
)

func TestMain(m *testing.M) {
	if plan := strings.Fields(os.Getenv(childVariable)); len(plan) > 0 {
		if err := child(plan); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	testdb.Main(m)
}
