package consumer_test

import (
	"testing"

	"github.com/dancefinder/eventsourcing/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }
