package eventsourced

import "context"

// Decode turns a stored event into its Go type, after its upcasters. Mostly that is one
// event; one that was split is several, and one that means nothing any more is none, see
// [Replace]. The error is a [*DecodeError].
func (r *Registry) Decode(ctx context.Context, recorded Recorded) ([]Event, error) {
	if r.asStored(&recorded) {
		event, err := r.decode(ctx, &recorded)
		if err != nil {
			return nil, &DecodeError{recorded, err}
		}
		return []Event{event}, nil
	}
	decoded, err := r.decodeParts(ctx, recorded)
	if err != nil {
		return nil, err
	}
	events := make([]Event, len(decoded))
	for i := range decoded {
		events[i] = decoded[i].Event
	}
	return events, nil
}

// Decoded is an event in its Go type, and as it would be stored today.
type Decoded struct {
	Event    Event
	Recorded *Recorded // of a part of an event that was split: with its own name and id
}

// AppendDecoded is Decode for consumers, who need each part's own name and id, and no
// allocation for an event that is stored as it would be today: its Recorded is the one
// that is given.
func (r *Registry) AppendDecoded(ctx context.Context, to []Decoded, recorded *Recorded) ([]Decoded, error) {
	if r.asStored(recorded) {
		event, err := r.decode(ctx, recorded)
		if err != nil {
			return to, &DecodeError{*recorded, err}
		}
		return append(to, Decoded{event, recorded}), nil
	}
	parts, err := r.decodeParts(ctx, *recorded)
	return append(to, parts...), err
}

// decodeParts decodes an event that is not stored as it would be today.
func (r *Registry) decodeParts(ctx context.Context, recorded Recorded) ([]Decoded, error) {
	if r.stored[recorded.Name] == nil {
		return nil, &DecodeError{recorded, ErrUnknownEvent}
	}
	parts, err := r.upcast(ctx, nil, recorded, 0)
	if err != nil {
		return nil, &DecodeError{recorded, err}
	}
	decoded := make([]Decoded, len(parts))
	for i := range parts {
		event, err := r.decode(ctx, &parts[i])
		if err != nil {
			return nil, &DecodeError{recorded, err}
		}
		decoded[i] = Decoded{event, &parts[i]}
	}
	return decoded, nil
}

// decode decodes an event that is in today's form.
func (r *Registry) decode(ctx context.Context, current *Recorded) (Event, error) {
	event := r.byName[current.Name].newFunc()
	if err := r.codec.Decode(ctx, storedOf(current), event); err != nil {
		return nil, err
	}
	SetBase(event, BaseEvent{EventAggregateId: current.Stream.AggregateID, EventTime: current.Time})
	return event, nil
}
