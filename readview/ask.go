package readview

import (
	"context"
	"fmt"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
)

// requests are what a feed's source has asked for.
type requests struct {
	begun      bool       // something was
	asked      checkpoint // last
	repeats    int        // of the last request
	waiting    bool       // for the end of its answer
	signOfLife time.Time  // the last request or page applied
}

// complaint is why messages don't come, the last time that it was put on record.
type complaint struct {
	problem       string
	signOfTrouble time.Time // that was when
}

// miss is called when what comes before a page is missing.
func (s *feedSource) miss(ctx context.Context, pg *page) (done bool, wait time.Duration, err error) {
	if s.feed.Requests != nil {
		// The answer has this message's events as well, if they are the relay's: they
		// were published before.
		err := s.ask(ctx)
		return err == nil, 0, err
	}
	missing := fmt.Errorf("%w: position %d is known and the message of position %d follows position %d", ErrGap, s.at.Position, pg.upTo, pg.after)
	if pg.after == unknown {
		missing = fmt.Errorf("%w, perhaps: the message of position %d does not tell what comes before it; only a relay.Relay can feed a projection", ErrGap, pg.upTo)
	}
	now := time.Now().UTC()
	failure := &consumer.Failure{Position: pg.upTo, Error: missing.Error(), Time: now, Since: now, Attempts: 1}
	if err := s.m.states.fail(ctx, s.Name, s.at.Generation, "failed", failure); err != nil {
		return false, 0, err
	}
	s.logger.ErrorContext(ctx, "projection stopped at a gap", "error", missing)
	s.announce(0)
	return false, s.m.config.PollInterval, nil
}

// answered notes the end of an answer. If that can't be applied, a page of the
// answer was lost: it is asked for again after a while.
func (s *feedSource) answered(content relay.Page) {
	if n := len(content.Events); n > 0 && content.Events[n-1].Position <= s.at.Position {
		s.known = max(s.known, content.Events[n-1].Position)
	}
	if !content.Last {
		return
	}
	s.sent.Store(0)
	if s.at.Position >= content.UpTo {
		s.waiting = false
	}
}

// ask requests the history after what is known, unless the answer to that is on
// its way.
func (s *feedSource) ask(ctx context.Context) error {
	same := s.begun && s.asked == s.at
	if s.waiting && s.asked.Generation == s.at.Generation && time.Since(s.signOfLife) < s.patience() {
		return nil
	}
	msg, err := relay.MarshalReplayRequest(relay.ReplayRequest{Topic: s.feed.Topic, After: s.at.Position, ReplyTo: s.feed.ReplyTo})
	if err != nil {
		return err
	}
	msg.SetContext(ctx)
	if err := s.feed.Requests.Publish(s.feed.RequestTopic, msg); err != nil {
		return fmt.Errorf("ask for history: %w", err)
	}
	s.logger.InfoContext(ctx, "asked for history", "after", int64(s.at.Position))
	if s.repeats++; !same {
		s.repeats = 0
	}
	s.asked, s.begun, s.waiting, s.signOfLife = s.at, true, true, time.Now()
	s.sent.CompareAndSwap(0, s.signOfLife.UnixMicro())
	return nil
}

// patience is how long to wait for an answer: longer with each repetition, as the
// answers may only be late, behind other messages.
func (s *feedSource) patience() time.Duration {
	return min(s.feed.AskAgain<<min(s.repeats, 20), max(s.feed.AskAgain, s.feed.AskAtLeast))
}

// attend asks for history when no message gives the occasion: at the start, after a
// reset, when an answer does not come, and when it is quiet. It goes on until ctx ends.
func (s *feedSource) attend(ctx context.Context) {
	for ctx.Err() == nil {
		if s.busy.TryLock() {
			s.lookOnce(ctx)
			s.progress.at(atRest, nil)
			s.busy.Unlock()
		}
		timer := time.NewTimer(s.m.leaseTime() / 2)
		select {
		case <-timer.C:
		case <-s.looks:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// lookOnce puts on record what keeps messages from coming.
func (s *feedSource) lookOnce(ctx context.Context) {
	s.progress.at(atState, nil)
	err := s.check(ctx)
	if subscriber, tells := s.feed.Subscriber.(interface{ Problem() error }); err == nil && tells {
		if problem := subscriber.Problem(); problem != nil {
			err = fmt.Errorf("no messages come: %w", problem)
		}
	}
	switch {
	case ctx.Err() != nil || refusal(err):
	case err != nil && s.problem != err.Error(), err != nil && time.Since(s.signOfTrouble) > slowAgain:
		s.problem, s.signOfTrouble = err.Error(), time.Now()
		s.trip(ctx, err, s.m.leaseTime()/2)
	case err == nil && s.problem != "":
		s.problem = ""
		s.recovered(ctx, s.at.Generation)
	}
}

// check renews the lease and asks for history if there is reason to.
func (s *feedSource) check(ctx context.Context) error {
	stored, err := s.load(ctx)
	if err != nil {
		return err
	}
	if stored.Position != s.at.Position { // perhaps on another node
		s.signOfLife, s.repeats = time.Now(), 0
		s.sent.Store(0)
	}
	s.at = stored.checkpoint
	if !s.at.Running {
		return nil
	}
	active, _, err := s.m.states.lease(ctx, s.Name, s.m.node, s.at.Generation, s.m.leaseTime())
	if err != nil || !active || s.feed.Requests == nil {
		return err
	}
	quiet := time.Since(s.signOfLife)
	missing := s.at.Position < eventsourced.Position(s.seen.Load())
	switch {
	case !s.begun, s.asked.Generation != s.at.Generation,
		s.waiting && quiet >= s.patience(),
		!s.waiting && missing && quiet >= s.m.config.PollInterval,
		quiet >= s.feed.AskAtLeast:
		return s.ask(ctx)
	}
	return nil
}

// hear notes that a position exists.
func (s *feedSource) hear(position eventsourced.Position) {
	if int64(position) > s.seen.Load() {
		s.seen.Store(int64(position))
	}
}

// measure implements [source]: what is known of the log is from its messages.
func (s *feedSource) measure(_ context.Context, status *consumer.Status) error {
	status.Head = max(status.Position, eventsourced.Position(s.seen.Load()))
	if s.starts() && status.Head == status.Position && !s.unanswered() {
		return nil
	}
	if s.unanswered() {
		since := time.UnixMicro(s.sent.Load()).UTC()
		status.Failure = &consumer.Failure{Error: "the request for history has no answer: does the other context's relay run?", Time: time.Now().UTC(), Since: since}
	}
	status.Behind = -1
	if status.Position > 0 {
		status.Lag = max(time.Since(status.Position.Time()), 0)
	}
	return nil
}

// late implements [source].
func (s *feedSource) late(status *consumer.Status) bool {
	return status.Lag > s.m.config.PollInterval || s.unanswered()
}

// look implements [source].
func (s *feedSource) look() {
	nudge(s.nudges)
	nudge(s.looks)
}

// unanswered tells that an answer is late: then nobody knows whether there are
// events.
func (s *feedSource) unanswered() bool {
	since := s.sent.Load()
	return since != 0 && time.Since(time.UnixMicro(since)) > s.feed.AskAgain
}
