package relay

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

// WireVersion is the version of the form of pages and of requests for history. It changes when an
// older program would misread a newer one's; any other version is refused with
// [messaging.ErrWireVersion]. Messages of one event have [messaging.WireVersion].
const WireVersion = 2

// HistoryRequest asks the [Relay] of another context for a window of a topic's history: for what
// comes after a position, in a few pages. Who has handled them asks for the next window.
type HistoryRequest struct {
	Topic   string                // whose history
	After   eventsourced.Position // what the asker has
	ReplyTo string                // the topic that the pages are sent to, which only the asker receives if possible

	// Asker says who asks: a newer request of the same asker replaces an older one that is not
	// answered yet. The pages name it. Defaults to ReplyTo.
	Asker string

	// ID is the same in a request that is repeated because no answer has come: then an answer that is under way goes on, and one that went
	// out less than Expires ago is not sent again, as it may be in the asker's queue. Without it each request is answered from its
	// beginning.
	ID string

	// Events and Bytes are how much the window has at most: so many events, so many bytes and one
	// page. Without either it is a page, and it is never more than [MaxWindow] pages.
	Events int
	Bytes  int

	// Names are those of the events that are wanted, as they are published. By default all are.
	Names []string

	// Expires is when nobody waits for the answer any longer. Defaults to never.
	Expires time.Duration
}

// MaxWindow is how many pages of [Config.PageEvents] and [Config.PageBytes] a window may have.
const MaxWindow = 16

type historyRequest struct {
	Topic   string   `json:"topic"`
	After   int64    `json:"after"`
	ReplyTo string   `json:"reply_to"`
	Asker   string   `json:"asker,omitempty"`
	ID      string   `json:"id,omitempty"`
	Events  int      `json:"events,omitempty"`
	Bytes   int      `json:"bytes,omitempty"`
	Names   []string `json:"names,omitempty"`
	Expires int64    `json:"expires_ms,omitempty"`
	Version int      `json:"wire_version,omitempty"`
}

// MarshalHistoryRequest makes the message of a request, a JSON object.
func MarshalHistoryRequest(request HistoryRequest) (*message.Message, error) {
	expires := request.Expires.Milliseconds()
	payload, err := json.Marshal(historyRequest{
		request.Topic, int64(request.After), request.ReplyTo, request.Asker, request.ID, request.Events, request.Bytes, request.Names, expires, WireVersion,
	})
	if err != nil {
		return nil, err
	}
	msg := message.NewMessage(eventsourced.NewEventID().String(), payload)
	msg.Metadata[messaging.MetaName] = "HistoryRequest"
	if expires > 0 {
		msg.Metadata[messaging.MetaExpires] = strconv.FormatInt(expires, 10)
	}
	return msg, nil
}

// UnmarshalHistoryRequest returns the request of a message. It returns
// [messaging.ErrMalformed], with what is wrong, and [messaging.ErrWireVersion].
func UnmarshalHistoryRequest(msg *message.Message) (HistoryRequest, error) {
	var r historyRequest
	err := json.Unmarshal(msg.Payload, &r)
	switch {
	case err != nil:
	case r.Version != 0 && r.Version != WireVersion:
		return HistoryRequest{}, fmt.Errorf("replay request %.40q: %w: it is of version %d, and this program knows %d",
			msg.UUID, messaging.ErrWireVersion, r.Version, WireVersion)
	case r.Topic == "":
		err = errors.New("it names no topic")
	case r.ReplyTo == "":
		err = errors.New("it does not say what to reply to")
	case r.After < 0:
		err = fmt.Errorf("after: %d, want a position", r.After)
	case r.Events < 0 || r.Bytes < 0 || r.Expires < 0:
		err = errors.New("events, bytes or expires_ms is negative")
	}
	if err != nil {
		return HistoryRequest{}, fmt.Errorf("replay request %.40q: %w: %w", msg.UUID, messaging.ErrMalformed, err)
	}
	return HistoryRequest{
		Topic: r.Topic, After: eventsourced.Position(r.After), ReplyTo: r.ReplyTo, Asker: cmp.Or(r.Asker, r.ReplyTo), ID: r.ID,
		Events: r.Events, Bytes: r.Bytes, Names: r.Names, Expires: min(time.Duration(r.Expires), maxExpires) * time.Millisecond,
	}, nil
}

// maxExpires keeps a number of milliseconds one of nanoseconds.
const maxExpires = 1 << 40
