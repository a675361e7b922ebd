package readviewui

import (
	"cmp"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// standing is a consumer's state as the page says it: a word, and the class of its badge.
type standing struct{ Word, Class string }

// notKnown is how a consumer is that could not be looked at.
var notKnown = standing{"Not known", "unknown"}

// notRunning is how one is that no node runs.
var notRunning = standing{"Not running", "not-running"}

// elsewhereLate is how long events may wait for what another node runs before it catches up, as package health has it.
const elsewhereLate = 2 * time.Second

// whoeverRuns returns how a consumer is for who looks from any node: a node that only stands by for what another one runs says standby of it.
func whoeverRuns(s consumer.Status) consumer.Status {
	if s.Kind != consumer.KindProjection || s.State != consumer.Standby || s.Node == "" {
		return s
	}
	switch {
	case s.Failure != nil && s.Behind < 0: // the log can't be read here
		s.State = consumer.Retrying
		return s
	case s.Lag > elsewhereLate || s.Behind < 0 && s.Position == 0:
		s.State = consumer.CatchingUp
	default:
		s.State = consumer.Live
	}
	if s.Failure != nil { // why this program may not run it
		s.Refused, s.Failure = cmp.Or(s.Refused, s.Failure.Error), nil
	}
	return s
}

// bad are the states that want somebody's hand, the worst first; what comes after is none of those.
var order = []string{"failed", "stalled", "not-running", "retrying", "rebuilding", "catching-up", "paused", "live"}

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
		return notRunning
	case consumer.Live:
		return standing{"Live", "live"}
	}
	return notKnown
}
