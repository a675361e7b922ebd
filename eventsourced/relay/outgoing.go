package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// outgoing is an event in the form in which it leaves the context, and its topic.
type outgoing struct {
	event eventsourced.Recorded
	topic string
}

// outgoing returns how an event leaves: not at all, if all of it stays inside or it is left
// out, and in parts if it was split. The error is a [*TranslateError] in a
// [consumer.EventError]: it survives functions that panic.
func (r *Relay) outgoing(ctx context.Context, p consumer.Part, recorded eventsourced.Recorded) ([]outgoing, error) {
	if r.skipped(recorded.Position) {
		return nil, nil
	}
	made := make(chan []outgoing, 1)
	err := r.follower.Guard(ctx, p, &recorded, "Translate or Topic", func(ctx context.Context) error {
		out, err := r.translateAll(ctx, recorded)
		made <- out
		return err
	})
	if err != nil {
		return nil, &consumer.EventError{Event: recorded, Err: newTranslateError(recorded, err)}
	}
	return <-made, nil
}

func (r *Relay) translateAll(ctx context.Context, recorded eventsourced.Recorded) (all []outgoing, err error) {
	parts, err := r.log.Registry().Upcast(ctx, recorded)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		if len(r.config.Names) > 0 && !slices.Contains(r.config.Names, part.Name) {
			continue
		}
		out, err := r.translate(part)
		if err != nil {
			return nil, err
		}
		if out.topic != "" {
			all = append(all, out)
		}
	}
	return all, nil
}

// translate returns how an event in today's form leaves, without a topic if it does not.
func (r *Relay) translate(today eventsourced.Recorded) (out outgoing, err error) {
	event := today
	if r.config.Translate != nil {
		translated, err := r.config.Translate(event)
		if err != nil || translated.Name == "" {
			return out, err
		}
		event.Name, event.SchemaVersion = translated.Name, max(translated.SchemaVersion, 1)
		event.Payload, event.Metadata = translated.Payload, translated.Metadata
		if err := checkTranslated(event); err != nil {
			return out, err
		}
	}
	if event.Metadata[eventsourced.MetaCorrelation] == "" { // the chain begins with it
		event.Metadata = maps.Clone(event.Metadata)
		if event.Metadata == nil {
			event.Metadata = eventsourced.Metadata{}
		}
		event.Metadata[eventsourced.MetaCorrelation] = event.ID.String()
	}
	topic := r.config.Topic(today)
	if topic == "" {
		return out, errNoTopic
	}
	return outgoing{event, topic}, nil
}

// checkTranslated finds what no consumer could make anything of.
func checkTranslated(event eventsourced.Recorded) error {
	err := eventsourced.ValidateAppend(event.Stream, []eventsourced.EventData{event.EventData}, math.MaxInt)
	if !json.Valid(event.Payload) {
		err = errors.Join(err, errors.New("the payload is not JSON"))
	}
	if err != nil {
		return fmt.Errorf("what Translate returned: %w", err)
	}
	return nil
}
