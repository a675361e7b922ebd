package relay

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// unknownTopic is about a topic to which nothing was ever published while others have had something, as far as that is
// certain. It is about no event. It is called by the follower.
func (r *Relay) unknownTopic(request HistoryRequest) *consumer.Failure {
	topics := slices.DeleteFunc(slices.Sorted(maps.Keys(r.sent)), func(topic string) bool { return topic == beginning || topic == reachedKey })
	// One that did not begin with the log may have published something in history only.
	if began := r.sent[beginning]; began == 0 && len(topics) > 0 && !slices.Contains(topics, request.Topic) {
		return &consumer.Failure{Error: fmt.Sprintf("relay %s has published nothing to the topic %.100q so far, but to %s", r.config.Name, request.Topic, some(topics))}
	}
	return nil
}

// unknownNames is likewise about names none of which is published.
func (r *Relay) unknownNames(request HistoryRequest) *consumer.Failure {
	if len(request.Names) == 0 || r.translates() {
		return nil
	}
	published := func(name string) bool {
		return r.log.Registry().SchemaVersion(name) > 0 && (len(r.config.Names) == 0 || slices.Contains(r.config.Names, name))
	}
	if slices.ContainsFunc(request.Names, published) {
		return nil
	}
	return &consumer.Failure{Error: fmt.Sprintf("relay %s publishes none of %s", r.config.Name, some(request.Names))}
}

// some names a few, of what may be many.
func some(all []string) string {
	const few = 10
	if len(all) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:few], ", "), len(all)-few)
	}
	return strings.Join(all, ", ")
}
