package readviewui_test

import (
	"encoding/json"
	"errors"
	"log"
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// The page of an application whose users are known by a cookie: operators may do everything, others nothing, and what
// customers have told of themselves is hidden.
func Example() {
	var ( // what the program has already
		pool    *pgxpool.Pool
		store   eventsourced.Log
		manager *readview.Manager
		userOf  func(*http.Request) (name string, operator bool)
	)
	page, err := readviewui.New(manager, store, pool, readviewui.Config{
		Title:     "The bank",
		Consumers: consumer.NewStore(pool, consumer.Config{}), // relays and reactors, too
		Authorize: func(r *http.Request, _ readviewui.Action) (string, error) {
			name, operator := userOf(r)
			if !operator {
				return "", errors.New("not an operator")
			}
			return name, nil
		},
		Redact: func(event eventsourced.Recorded) eventsourced.Recorded {
			if event.Stream.AggregateName == "bank.Customer" {
				event.Payload, event.Metadata = json.RawMessage(`"hidden"`), nil
			}
			return event
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer page.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/admin/", func(w http.ResponseWriter, r *http.Request) { // who may look is for the application to say
		if _, operator := userOf(r); !operator {
			http.Error(w, "log in as an operator", http.StatusForbidden)
			return
		}
		page.ServeHTTP(w, r)
	})
}
