package relay

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

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
	Version int    `json:"wire_version,omitempty"`
}

// MarshalReplayRequest makes the message of a request, a JSON object.
func MarshalReplayRequest(request ReplayRequest) (*message.Message, error) {
	payload, err := json.Marshal(replayRequest{request.Topic, int64(request.After), request.ReplyTo, messaging.WireVersion})
	if err != nil {
		return nil, err
	}
	msg := message.NewMessage(eventsourced.NewEventID().String(), payload)
	msg.Metadata[messaging.MetaName] = "ReplayRequest"
	return msg, nil
}

// UnmarshalReplayRequest returns the request of a message. It returns
// [messaging.ErrMalformed], with what is wrong, and [messaging.ErrWireVersion].
func UnmarshalReplayRequest(msg *message.Message) (ReplayRequest, error) {
	var request replayRequest
	err := json.Unmarshal(msg.Payload, &request)
	switch {
	case err != nil:
	case request.Version != 0 && request.Version != messaging.WireVersion:
		return ReplayRequest{}, fmt.Errorf("replay request %.40q: %w: it is of version %d, and this program knows %d",
			msg.UUID, messaging.ErrWireVersion, request.Version, messaging.WireVersion)
	case request.Topic == "":
		err = errors.New("it names no topic")
	case request.ReplyTo == "":
		err = errors.New("it does not say what to reply to")
	case request.After < 0:
		err = fmt.Errorf("after: %d, want a position", request.After)
	}
	if err != nil {
		return ReplayRequest{}, fmt.Errorf("replay request %.40q: %w: %w", msg.UUID, messaging.ErrMalformed, err)
	}
	return ReplayRequest{request.Topic, eventsourced.Position(request.After), request.ReplyTo}, nil
}
