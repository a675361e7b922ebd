package consumer

import (
	"context"
	"fmt"
	"maps"
	"time"
)

// Operation is what somebody did to a consumer, as the operator log has it.
type Operation struct {
	ID        int64 // in the order in which they began, of projections or of the others: each have a log of their own, see Ref
	Kind      Kind
	Name      string
	Command   string            // reset, pause, resume, skip, ...
	Actor     string            // who did it: see [eventsourced.WithActor]
	Arguments map[string]string // what was asked for, besides the name
	Outcome   Outcome
	Detail    string    // what came of it; the error of one that failed
	Began     time.Time // by the database's clock
	Ended     time.Time // zero while it is under way
}

// Ref names the operation among all: "p7" is that of a projection, "c7" that of another consumer.
func (o Operation) Ref() string {
	log := "c"
	if o.Kind == KindProjection {
		log = "p"
	}
	return fmt.Sprint(log, o.ID)
}

// Outcome is what became of an [Operation].
type Outcome string

const (
	// OutcomeDone is that of an operation whose transaction was committed, with this record.
	OutcomeDone Outcome = "done"
	// OutcomeFailed is that of one which was refused or went wrong. It has changed nothing but what its detail says, as a retry
	// does whose events were applied in part.
	OutcomeFailed Outcome = "failed"
	// OutcomeUnderWay is that of one which takes long and has not ended, or whose process
	// ended before it.
	OutcomeUnderWay Outcome = "under way"
)

type reasonKey struct{}

// WithReason returns a context under which whatever is written into the operator log, of projections as well, has
// the reason among its arguments: for calls that don't ask for one.
func WithReason(ctx context.Context, reason string) context.Context {
	return context.WithValue(ctx, reasonKey{}, reason)
}

// Arguments returns the arguments of an operation with the reason that [WithReason] has put into ctx, unless they
// have one already.
func Arguments(ctx context.Context, arguments map[string]string) map[string]string {
	reason, _ := ctx.Value(reasonKey{}).(string)
	if reason == "" || arguments["reason"] != "" {
		return arguments
	}
	all := map[string]string{}
	maps.Copy(all, arguments)
	all["reason"] = reason
	return all
}
