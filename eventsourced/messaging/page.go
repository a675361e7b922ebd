package messaging

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// More keys of a message's metadata, of messages that a [Relay] sends.
const (
	// MetaPrevious is the position of the message that was sent to the topic before
	// this one, 0 before the first. Who knows all up to it has missed nothing.
	MetaPrevious = "previous_position"

	// MetaEvents is how many events the payload has, in a message that is a [Page].
	// A message of a single event does not have it.
	MetaEvents = "events"

	// MetaLast is "true" in the last page that answers a [ReplayRequest].
	MetaLast = "last"

	// MetaHead is, in a page that answers a [ReplayRequest], the relay's position: all
	// that was published is at or below it, and so is what its consumers know, unless
	// the log went back. 1 is before the first event.
	MetaHead = "head_position"
)

// Page is a part of a topic: all its events with a position above After and up to
// UpTo. It may have none. Events are in the order of their positions, and in
// today's form, whatever they were stored as. The parts of one that was split share its
// position: whoever keeps a position takes all of them or none.
type Page struct {
	After, UpTo eventsourced.Position
	Events      []eventsourced.Recorded
	Last        bool // of the answer to a [ReplayRequest]

	// Head is the relay's position, see [MetaHead]; 0 when it is not known, as in a
	// live message. A consumer whose position is above it is ahead of the log.
	Head eventsourced.Position
}

// pageEvent is an event in the payload of a page's message.
type pageEvent struct {
	ID            eventsourced.EventID  `json:"id"`
	Name          string                `json:"name"`
	AggregateName string                `json:"aggregate_name"`
	AggregateID   string                `json:"aggregate_id"`
	Version       int64                 `json:"version"`
	SchemaVersion int                   `json:"schema_version"`
	Position      int64                 `json:"position"`
	OccurredAt    time.Time             `json:"occurred_at"`
	Metadata      eventsourced.Metadata `json:"metadata,omitempty"`
	Payload       json.RawMessage       `json:"payload"`
}

// MarshalPage makes one message of a page: a JSON array of its events.
func MarshalPage(page Page) (*message.Message, error) {
	events := make([]pageEvent, len(page.Events))
	for i, e := range page.Events {
		events[i] = pageEvent{
			ID: e.ID, Name: e.Name,
			AggregateName: e.Stream.AggregateName, AggregateID: e.Stream.AggregateID,
			Version: int64(e.Version), SchemaVersion: e.SchemaVersion, Position: int64(e.Position),
			OccurredAt: e.Time, Metadata: e.Metadata, Payload: e.Payload,
		}
	}
	payload, err := json.Marshal(events)
	if err != nil {
		return nil, fmt.Errorf("page after position %d: %w", page.After, err)
	}
	msg := message.NewMessage(eventsourced.NewEventID().String(), payload)
	msg.Metadata[MetaPrevious] = formatPosition(page.After)
	msg.Metadata[MetaPosition] = formatPosition(page.UpTo)
	msg.Metadata[MetaEvents] = strconv.Itoa(len(page.Events))
	if page.Head != 0 {
		msg.Metadata[MetaHead] = formatPosition(page.Head)
	}
	if page.Last {
		msg.Metadata[MetaLast] = "true"
	}
	return msg, nil
}

// UnmarshalPage returns the page of a message that a [Relay] sent, be it a page of
// history or a single event, which is a page of one. It returns [ErrMalformed],
// with what is wrong; a page is right as a whole or not at all.
func UnmarshalPage(msg *message.Message) (Page, error) {
	r := reader{msg: msg}
	page := Page{After: r.position(MetaPrevious), UpTo: r.position(MetaPosition), Last: msg.Metadata[MetaLast] == "true"}
	if _, tells := msg.Metadata[MetaHead]; tells {
		page.Head = r.position(MetaHead)
	}
	if err := r.err(); err != nil {
		return Page{}, err
	}
	if _, many := msg.Metadata[MetaEvents]; !many {
		event, err := Unmarshal(msg)
		if err != nil {
			return Page{}, err
		}
		page.Events = []eventsourced.Recorded{event}
	} else if err := page.decode(msg.Payload, msg.Metadata[MetaEvents]); err != nil {
		return Page{}, fmt.Errorf("message %.40q: %w: %w", msg.UUID, ErrMalformed, err)
	}
	if err := page.check(); err != nil {
		return Page{}, fmt.Errorf("message %.40q: %w: %w", msg.UUID, ErrMalformed, err)
	}
	return page, nil
}

func (p *Page) decode(payload []byte, count string) error {
	var events []pageEvent
	if err := json.Unmarshal(payload, &events); err != nil {
		return err
	}
	if count != strconv.Itoa(len(events)) {
		return fmt.Errorf("metadata %q: %.40q, but the payload has %d", MetaEvents, count, len(events))
	}
	p.Events = make([]eventsourced.Recorded, len(events))
	for i, e := range events {
		p.Events[i] = eventsourced.Recorded{
			EventData: eventsourced.EventData{
				ID: e.ID, Name: e.Name, SchemaVersion: e.SchemaVersion, Time: e.OccurredAt.UTC(),
				Payload: e.Payload, Metadata: e.Metadata,
			},
			Stream:   eventsourced.Stream{AggregateName: e.AggregateName, AggregateID: e.AggregateID},
			Version:  eventsourced.Version(e.Version),
			Position: eventsourced.Position(e.Position),
		}
	}
	return nil
}

// check finds what would let events be missed or applied out of order.
func (p *Page) check() error {
	if p.UpTo < p.After {
		return fmt.Errorf("it ends at position %d, before its beginning at %d", p.UpTo, p.After)
	}
	last := p.After
	for i, e := range p.Events {
		switch {
		case e.Position == last && i > 0 && isPart(e, p.Events[i-1]):
		case e.Position <= last:
			return fmt.Errorf("position %d after %d", e.Position, last)
		case e.Position > p.UpTo:
			return fmt.Errorf("position %d above the page's end at %d", e.Position, p.UpTo)
		case e.ID.IsZero() || e.Name == "" || e.Version < 1 || e.SchemaVersion < 1 || len(e.Payload) == 0:
			return fmt.Errorf("the event at position %d is not complete", e.Position)
		}
		last = e.Position
	}
	return nil
}

// isPart tells that two events are parts of one that was split.
func isPart(a, b eventsourced.Recorded) bool {
	return a.Stream == b.Stream && a.Version == b.Version && a.ID != b.ID
}

// ReplayRequest asks the [Relay] of another context for a topic's history.
type ReplayRequest struct {
	Topic   string                // whose history
	After   eventsourced.Position // what the asker has
	ReplyTo string                // the topic that the pages are sent to, which only the asker receives if possible
}

type replayRequest struct {
	Topic   string `json:"topic"`
	After   int64  `json:"after"`
	ReplyTo string `json:"reply_to"`
}

// MarshalReplayRequest makes the message of a request, a JSON object.
func MarshalReplayRequest(request ReplayRequest) (*message.Message, error) {
	payload, err := json.Marshal(replayRequest{request.Topic, int64(request.After), request.ReplyTo})
	if err != nil {
		return nil, err
	}
	msg := message.NewMessage(eventsourced.NewEventID().String(), payload)
	msg.Metadata[MetaName] = "ReplayRequest"
	return msg, nil
}

// UnmarshalReplayRequest returns the request of a message. It returns
// [ErrMalformed], with what is wrong.
func UnmarshalReplayRequest(msg *message.Message) (ReplayRequest, error) {
	var request replayRequest
	err := json.Unmarshal(msg.Payload, &request)
	switch {
	case err != nil:
	case request.Topic == "":
		err = errors.New("it names no topic")
	case request.ReplyTo == "":
		err = errors.New("it does not say what to reply to")
	case request.After < 0:
		err = fmt.Errorf("after: %d, want a position", request.After)
	}
	if err != nil {
		return ReplayRequest{}, fmt.Errorf("replay request %.40q: %w: %w", msg.UUID, ErrMalformed, err)
	}
	return ReplayRequest{request.Topic, eventsourced.Position(request.After), request.ReplyTo}, nil
}

func formatPosition(p eventsourced.Position) string { return strconv.FormatInt(int64(p), 10) }
