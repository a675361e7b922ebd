package readviewui

import (
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// standing is a consumer's state as the page says it: a word, and the class of its badge.
type standing struct{ Word, Class string }

// notKnown is how a consumer is that could not be looked at.
var notKnown = standing{"Not known", "unknown"}

// bad are the states that want somebody's hand, the worst first; what comes after is none of those.
var order = []string{"failed", "stalled", "retrying", "rebuilding", "catching-up", "paused", "standby", "live"}

// standingOf returns how a consumer is. One that is being rebuilt goes on meanwhile, unless it is in trouble.
func standingOf(s consumer.Status) standing {
	switch s.State {
	case consumer.Failed:
		return standing{"Failed", "failed"}
	case consumer.Ahead:
		return standing{"Ahead of the log", "failed"}
	case consumer.Stalled:
		return standing{"Stalled", "stalled"}
	case consumer.Retrying:
		return standing{"Retrying", "retrying"}
	}
	if s.Rebuild != nil && s.Rebuild.Running {
		return standing{"Rebuilding", "rebuilding"}
	}
	switch s.State {
	case consumer.CatchingUp:
		return standing{"Catching up", "catching-up"}
	case consumer.Paused:
		return standing{"Paused", "paused"}
	case consumer.Standby:
		return standing{"Standby", "standby"}
	case consumer.Live:
		return standing{"Live", "live"}
	}
	return notKnown
}
