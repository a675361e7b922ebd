package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

// Page is a part of a topic: all its events with a position above After and up to
// UpTo. It may have none. Events are in the order of their positions, and in
// today's form, whatever they were stored as. The parts of one that was split share its
// position: whoever keeps a position takes all of them or none.
type Page struct {
	After, UpTo eventsourced.Position
	Events      []eventsourced.Recorded

	// Last is set in the last page that answers a [HistoryRequest]. If UpTo is below Head there is
	// more to ask for.
	Last bool

	// Head is the relay's position, see [messaging.MetaHead]; 0 when it is not known, as in a
	// live message. A consumer whose position is above it is ahead of the log.
	Head eventsourced.Position

	// Asker is who asked for the page. It has only the events that were asked for, so that it is
	// for nobody else.
	Asker string

	// Failure is why the answer ends at UpTo: the event after it that can't be sent. Of its fields
	// EventID, EventName, Position and Error are set. Without an event it is why there is nothing of what was
	// asked for: a topic or names that are not published. It is nil when nothing is wrong.
	Failure *consumer.Failure

	// Publication is the number of the last [Publication] that made more events public, and
	// PublishedFrom its position: who has read before it has missed something. In a page of history it
	// is about what was asked for, in a live message about all events. 0 is none.
	Publication   int64
	PublishedFrom eventsourced.Position
}

// More tells that a page is the last one of an answer, and that there is more to ask for, after UpTo.
func (p Page) More() bool {
	return p.Last && p.Failure == nil && p.UpTo < p.Head && p.Head > beforeAll
}

// beforeAll is the head of a relay that has published nothing: 0 would be unknown, and no event
// is that old.
const beforeAll = 1

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
	Tags          []string              `json:"tags,omitempty"`
	Payload       json.RawMessage       `json:"payload"`
}

// pageFailure is a page's failure in its metadata.
type pageFailure struct {
	EventID  eventsourced.EventID `json:"event_id"`
	Name     string               `json:"name"`
	Position int64                `json:"position"`
	Error    string               `json:"error"`
}

// maxFailure is how many bytes of an error's text a page has.
const maxFailure = 2000

// MarshalPage makes one message of a page: a JSON array of its events.
func MarshalPage(page Page) (*message.Message, error) {
	events := make([]json.RawMessage, len(page.Events))
	for i, event := range page.Events {
		var err error
		if events[i], err = marshalEvent(event); err != nil {
			return nil, fmt.Errorf("page after position %d: %w", page.After, err)
		}
	}
	return marshalPage(page, events)
}

// marshalEvent returns an event as it stands in a page.
func marshalEvent(e eventsourced.Recorded) (json.RawMessage, error) {
	return json.Marshal(pageEvent{
		ID: e.ID, Name: e.Name,
		AggregateName: e.Stream.AggregateName, AggregateID: e.Stream.AggregateID,
		Version: int64(e.Version), SchemaVersion: e.SchemaVersion, Position: int64(e.Position),
		OccurredAt: e.Time, Metadata: e.Metadata, Tags: e.Tags, Payload: e.Payload,
	})
}

// marshalPage makes the message of a page whose events are marshaled.
func marshalPage(page Page, events []json.RawMessage) (*message.Message, error) {
	payload := append([]byte{'['}, bytes.Join(asBytes(events), []byte{','})...)
	msg := message.NewMessage(eventsourced.NewEventID().String(), append(payload, ']'))
	msg.Metadata[messaging.MetaWireVersion] = strconv.Itoa(WireVersion)
	msg.Metadata[messaging.MetaPrevious] = formatPosition(page.After)
	msg.Metadata[messaging.MetaPosition] = formatPosition(page.UpTo)
	msg.Metadata[messaging.MetaEvents] = strconv.Itoa(len(events))
	if page.Head != 0 {
		msg.Metadata[messaging.MetaHead] = formatPosition(page.Head)
	}
	if page.Last {
		msg.Metadata[messaging.MetaLast] = "true"
	}
	if page.Asker != "" {
		msg.Metadata[messaging.MetaAsker] = page.Asker
	}
	if f := page.Failure; f != nil {
		text := strings.ToValidUTF8(f.Error[:min(len(f.Error), maxFailure)], "")
		failure, err := json.Marshal(pageFailure{f.EventID, f.EventName, int64(f.Position), text})
		if err != nil {
			return nil, err
		}
		msg.Metadata[messaging.MetaFailure] = string(failure)
	}
	setPublication(msg, Publication{Number: page.Publication, Position: page.PublishedFrom})
	return msg, nil
}

func asBytes(all []json.RawMessage) [][]byte {
	parts := make([][]byte, len(all))
	for i, part := range all {
		parts[i] = part
	}
	return parts
}

// setPublication has a message say since when its events are published as they are.
func setPublication(msg *message.Message, p Publication) {
	if p.Number != 0 {
		msg.Metadata[messaging.MetaPublication] = strconv.FormatInt(p.Number, 10) + "@" + formatPosition(p.Position)
	}
}

// publication returns what setPublication set.
func publication(msg *message.Message) (number int64, from eventsourced.Position, err error) {
	value, tells := msg.Metadata[messaging.MetaPublication]
	if !tells {
		return 0, 0, nil
	}
	if _, err := fmt.Sscanf(value, "%d@%d", &number, &from); err != nil || number < 1 || from < 0 {
		return 0, 0, fmt.Errorf("metadata %q: %.40q, want a number, @, and a position", messaging.MetaPublication, value)
	}
	return number, from, nil
}

// UnmarshalPage returns the page of a message that a [Relay] sent, be it a page of
// history or a single event, which is a page of one. It returns [messaging.ErrMalformed],
// with what is wrong, and [messaging.ErrWireVersion]; a page is right as a whole or not at all.
func UnmarshalPage(msg *message.Message) (Page, error) {
	_, many := msg.Metadata[messaging.MetaEvents]
	if err := checkVersion(msg, many); err != nil {
		return Page{}, err
	}
	var errs [5]error
	page := Page{Last: msg.Metadata[messaging.MetaLast] == "true", Asker: msg.Metadata[messaging.MetaAsker]}
	page.After, errs[0] = position(msg, messaging.MetaPrevious)
	page.UpTo, errs[1] = position(msg, messaging.MetaPosition)
	if _, tells := msg.Metadata[messaging.MetaHead]; tells {
		page.Head, errs[2] = position(msg, messaging.MetaHead)
	}
	page.Failure, errs[3] = failure(msg)
	page.Publication, page.PublishedFrom, errs[4] = publication(msg)
	if err := errors.Join(errs[:]...); err != nil {
		return Page{}, fmt.Errorf("message %.40q: %w: %w", msg.UUID, messaging.ErrMalformed, err)
	}
	if !many {
		event, err := messaging.Unmarshal(msg)
		if err != nil {
			return Page{}, err
		}
		page.Events = []eventsourced.Recorded{event}
	} else if err := page.decode(msg.Payload, msg.Metadata[messaging.MetaEvents]); err != nil {
		return Page{}, fmt.Errorf("message %.40q: %w: %w", msg.UUID, messaging.ErrMalformed, err)
	}
	if err := page.check(); err != nil {
		return Page{}, fmt.Errorf("message %.40q: %w: %w", msg.UUID, messaging.ErrMalformed, err)
	}
	return page, nil
}

// checkVersion returns [messaging.ErrWireVersion] for a message of a version that this program
// does not know.
func checkVersion(msg *message.Message, page bool) error {
	if !page {
		return messaging.CheckWireVersion(msg)
	}
	if version := msg.Metadata[messaging.MetaWireVersion]; version != strconv.Itoa(WireVersion) {
		return fmt.Errorf("message %.40q: %w: it is a page of version %.20q, and this program knows %d", msg.UUID, messaging.ErrWireVersion, version, WireVersion)
	}
	return nil
}

// failure returns that of a page's metadata, nil if there is none.
func failure(msg *message.Message) (*consumer.Failure, error) {
	text, failed := msg.Metadata[messaging.MetaFailure]
	if !failed {
		return nil, nil //nolint:nilnil // most have none
	}
	var f pageFailure
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return nil, fmt.Errorf("metadata %q: %w", messaging.MetaFailure, err)
	}
	return &consumer.Failure{EventID: f.EventID, EventName: f.Name, Position: eventsourced.Position(f.Position), Error: f.Error}, nil
}

// position returns a position of the metadata, from 0.
func position(msg *message.Message, key string) (eventsourced.Position, error) {
	value := msg.Metadata[key]
	if value == "" {
		return 0, fmt.Errorf("metadata %q is missing", key)
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("metadata %q: %.40q, want a position", key, value)
	}
	return eventsourced.Position(n), nil
}

func (p *Page) decode(payload []byte, count string) error {
	var events []pageEvent
	if err := json.Unmarshal(payload, &events); err != nil {
		return err
	}
	if count != strconv.Itoa(len(events)) {
		return fmt.Errorf("metadata %q: %.40q, but the payload has %d", messaging.MetaEvents, count, len(events))
	}
	p.Events = make([]eventsourced.Recorded, len(events))
	for i, e := range events {
		p.Events[i] = eventsourced.Recorded{
			EventData: eventsourced.EventData{
				ID: e.ID, Name: e.Name, SchemaVersion: e.SchemaVersion, Time: e.OccurredAt.UTC(),
				Payload: e.Payload, Metadata: e.Metadata, Tags: e.Tags,
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

func formatPosition(p eventsourced.Position) string { return strconv.FormatInt(int64(p), 10) }
