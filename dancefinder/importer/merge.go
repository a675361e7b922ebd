package importer

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// MetaListing is the key of the metadata of an importer's events of dances: what the
// listing said, as JSON. What differs from it in the dance was entered by a person,
// there and in events without this key.
const MetaListing = "listing"

// said is what a listing says of a dance besides what identifies it.
type said struct {
	End   string `json:"endTime,omitempty"`
	Extra string `json:"extraInfo,omitempty"`
}

// saying returns a context whose events tell what the listing said.
func saying(ctx context.Context, s said) context.Context {
	text, _ := json.Marshal(s) // can't fail: it has two strings
	return eventsourced.WithMetadata(ctx, MetaListing, string(text))
}

func saidIn(metadata eventsourced.Metadata) (s said, ok bool) {
	text, ok := metadata[MetaListing]
	return s, ok && json.Unmarshal([]byte(text), &s) == nil
}

// The reasons of deletions, for people.
const (
	reasonCancelled = "Inställt"
	reasonWithdrawn = "Finns inte längre i listan"
)

func isReason(reason string) bool { return reason == reasonCancelled || reason == reasonWithdrawn }

// mergeAttempts is how often a dance is looked at again that a person changes at the
// same time.
const mergeAttempts = 10

// update brings what a row says into a dance that is known, and tells whether that
// changed it. What a person entered stays as long as the listing says nothing new.
func (i *run) update(ctx context.Context, m match, row said) (changed bool, position eventsourced.Position, err error) {
	for attempt := 1; ; attempt++ {
		stored, err := i.load(ctx, m)
		if err != nil {
			return false, 0, err
		}
		merged := stored.merge(row)
		if merged == stored.details {
			return false, 0, nil
		}
		if err := m.revive(ctx); err != nil {
			return false, 0, err
		}
		_, position, err := i.service.UpdateEvent(saying(ctx, row), domain.UpdateEvent{EventID: m.id, EventDetails: merged, ExpectedVersion: stored.version})
		if !errors.Is(err, domain.ErrEventChanged) || attempt == mergeAttempts {
			return err == nil, position, err
		}
	}
}

// stored is a dance as the log has it.
type stored struct {
	details domain.EventDetails
	version eventsourced.Version
	said    said // by a listing, last
	listed  bool // whether one said anything
}

func (i *run) load(ctx context.Context, m match) (s stored, err error) {
	stream := eventsourced.Stream{AggregateName: domain.AggregateEvent, AggregateID: string(m.id)}
	for recorded, err := range i.log.ReadStream(ctx, stream, 0) {
		if err != nil {
			return stored{}, err
		}
		events, err := i.log.Registry().Decode(ctx, recorded)
		if err != nil {
			return stored{}, err
		}
		s.version = recorded.Version
		for _, event := range events {
			switch e := event.(type) {
			case *domain.EventCreated:
				s.details = detailsOf(e)
				// Before MetaListing there was only the id to tell where it comes from.
				if s.listed = m.listed; s.listed {
					s.said = said{s.details.EndTime, s.details.ExtraInfo}
				}
			case *domain.EventUpdated:
				s.details = detailsOf((*domain.EventCreated)(e))
			}
		}
		if text, ok := saidIn(recorded.Metadata); ok {
			s.said, s.listed = text, true
		}
	}
	return s, nil
}

func (s stored) merge(row said) domain.EventDetails {
	d := s.details
	d.ExtraInfo = s.text(d.ExtraInfo, s.said.Extra, row.Extra)
	if d.StartTime != "" { // which an end needs
		d.EndTime = s.text(d.EndTime, s.said.End, row.End)
	}
	return d
}

// text merges one text. A listing that says something new is right, but it does not
// wipe what a person entered.
func (s stored) text(current, said, row string) string {
	byHand := !s.listed && current != "" || s.listed && current != said
	if byHand && (row == "" || row == said || !s.listed) {
		return current
	}
	return row
}
