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
// [consumer.WorkError]: it survives functions that panic.
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
		return nil, &consumer.WorkError{Event: recorded, Err: newTranslateError(recorded, err)}
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
		out, err := r.translate(ctx, part)
		if err != nil {
			return nil, err
		}
		all = append(all, out...)
	}
	return all, nil
}

// translate returns how an event in today's form leaves: in several, or not at all.
func (r *Relay) translate(ctx context.Context, today eventsourced.Recorded) (all []outgoing, err error) {
	forms := []eventsourced.Recorded{today}
	switch {
	case r.config.TranslateMany != nil:
		forms, err = r.config.TranslateMany(ctx, today)
	case r.config.Translate != nil:
		forms[0], err = r.config.Translate(today)
	}
	if err != nil {
		return nil, err
	}
	for i, form := range forms {
		if form.Name == "" {
			continue
		}
		event := today
		if len(forms) > 1 {
			event.ID = eventsourced.PartID(today.ID, i)
		}
		if r.translates() {
			event.Name, event.SchemaVersion = form.Name, max(form.SchemaVersion, 1)
			event.Payload, event.Metadata = form.Payload, form.Metadata
			if err := checkTranslated(event); err != nil {
				return nil, err
			}
		}
		event.Metadata = leaving(today, event.Metadata)
		topic := r.config.Topic(today)
		if topic == "" {
			return nil, errNoTopic
		}
		all = append(all, outgoing{event, topic})
	}
	return all, nil
}

func (r *Relay) translates() bool { return r.config.Translate != nil || r.config.TranslateMany != nil }

// leaving returns the metadata that an event leaves with: a chain begins with it, if it has no
// other, and it stays in its trace.
func leaving(today eventsourced.Recorded, metadata eventsourced.Metadata) eventsourced.Metadata {
	complete := maps.Clone(metadata)
	if complete == nil {
		complete = eventsourced.Metadata{}
	}
	if complete[eventsourced.MetaCorrelation] == "" {
		complete[eventsourced.MetaCorrelation] = today.ID.String()
	}
	if complete[eventsourced.MetaTraceParent] == "" {
		eventsourced.PassTrace(today.Metadata, complete)
	}
	return complete
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
