package readview

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
)

// complaint is why messages don't come, the last time that it was put on record.
type complaint struct {
	problem       string
	signOfTrouble time.Time // that was when
	boundAgain    time.Time // because of one
}

// gapPatience is how long a projection that can't ask waits for what is missing.
const gapPatience = 500 * time.Millisecond

// miss is called when what comes before a message is missing.
func (s *feedSource) miss(ctx context.Context, d *delivery) (done bool, wait time.Duration, err error) {
	if s.feed.Requests != nil {
		if d.page.after != unknown {
			s.early.keep(*d, s.at)
			time.AfterFunc(earlyPatience, func() { nudge(s.looks) })
		} else if idle, _ := s.asker.idle(); idle {
			// The answer has this message's events as well, if they are the relay's: they
			// were published before.
			s.asker.ask(s.at)
		}
		return true, 0, nil
	}
	if d.page.after != unknown && s.stays(d) {
		s.busy.Unlock() // for the one that has to come before
		s.hold(ctx, s.m.config.PollInterval/10)
		s.busy.Lock()
		return false, 0, nil
	}
	missing := fmt.Errorf("%w: position %d is known and the message of position %d follows position %d", ErrGap, s.at.Position, d.page.upTo, d.page.after)
	if d.page.after == unknown {
		missing = fmt.Errorf("%w, perhaps: the message of position %d does not tell what comes before it; only a relay.Relay can feed a projection", ErrGap, d.page.upTo)
	}
	now := time.Now().UTC()
	failure := &consumer.Failure{Position: d.page.upTo, Error: missing.Error(), Time: now, Since: now, Attempts: 1}
	if err := s.m.states.fail(ctx, s.Name, s.at.Generation, "failed", failure, nil); err != nil {
		return false, 0, err
	}
	s.logger.ErrorContext(ctx, "projection stopped at a gap", "error", missing)
	s.announce(0, time.Time{})
	return false, s.m.config.PollInterval, nil
}

// stays tells that what comes before a message may come yet.
func (s *feedSource) stays(d *delivery) bool {
	if d.missed.IsZero() {
		d.missed = time.Now()
	}
	return time.Since(d.missed) < gapPatience || time.Since(s.early.since) < gapPatience
}

// done notes what a message that is done with says of the history.
func (s *feedSource) done(content relay.Page) {
	if n := len(content.Events); n > 0 && content.Events[n-1].Position <= s.at.Position {
		s.known = max(s.known, content.Events[n-1].Position)
	}
	comes := slices.ContainsFunc(content.Events, func(e eventsourced.Recorded) bool { return slices.Contains(s.handled, e.Name) })
	if f := s.remote.Load(); f != nil && s.at.Position >= f.Position && (f.Position > 0 || comes) {
		s.remote.Store(nil)
	}
	if !content.Last || s.at.Position < content.UpTo {
		return
	}
	s.remote.Store(content.Failure)
	if !content.More() {
		s.asker.complete(content.UpTo)
	} else if s.at.Position == content.UpTo {
		s.asker.ahead(content, s.at.Generation)
	}
}

// attend asks for history when no message gives the occasion: at the start, after a
// reset, when an answer does not come, and when it is quiet. It puts on record what keeps messages
// from coming. It goes on until ctx ends.
func (s *feedSource) attend(ctx context.Context) {
	for ctx.Err() == nil {
		var err error
		free := s.busy.TryLock()
		if free {
			s.progress.at(atState, nil)
			err = s.check(ctx)
			s.progress.at(atRest, nil)
			s.busy.Unlock()
		}
		if !refusal(err) && ctx.Err() == nil {
			s.complain(ctx, err, free)
		}
		timer := time.NewTimer(s.m.config.LeaseTime() / 2)
		select {
		case <-timer.C:
		case <-s.looks:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// complain puts on record what keeps messages from coming: err, what the transport says, that
// nobody answers, or an event that the other context can't send. When there is nothing of that, and free
// says that no message is handled, what is on record is over; what a process has put there that died, when
// it is certain that nothing is missing.
func (s *feedSource) complain(ctx context.Context, err error, free bool) {
	if problem := s.transportProblem(); err == nil && problem != nil {
		err = fmt.Errorf(noMessages+"%w", problem)
	}
	if err == nil {
		err = s.asker.trouble()
	}
	if err == nil && s.byHistory.Load() >= byHistoryOnly {
		err = s.bindAgain(ctx)
	}
	text, remote := "", s.remote.Load()
	switch {
	case err != nil:
		text = err.Error()
	case remote != nil && remote.EventID.IsZero():
		text = "nothing comes from the other context: " + remote.Error
		err = errors.New(text)
	case remote != nil:
		text = fmt.Sprintf("the other context's relay can't send the next event: %s; who runs it has to mend that", remote.Error)
		if relay.IsTranslateFailure(remote) { // otherwise no event is at fault, but what it goes by, or it may well be
			text += fmt.Sprintf(", or to leave the event out (Relay.Skip, relay skip --position %d)", remote.Position)
		}
	}
	again := text != s.problem || time.Since(s.signOfTrouble) > slowAgain || s.untroubled()
	switch {
	case text == "" && (s.problem != "" || free && (!s.untroubled() || s.failed.Load() && s.asker.certain())):
		s.problem = ""
		s.recovered(ctx, s.generation.Load())
	case text == "" || !again:
	default:
		s.problem, s.signOfTrouble = text, time.Now()
		if err != nil {
			s.trip(ctx, err, s.m.config.LeaseTime()/2)
			return
		}
		event := &eventsourced.Recorded{Position: remote.Position}
		event.ID, event.Name = remote.EventID, remote.EventName
		s.logger.WarnContext(ctx, "the other context can't send an event", "error", text)
		s.note(ctx, &EventError{Projection: s.Name, Event: *event, Err: errors.New(text)}, consumer.Failure{Error: text, Since: time.Now().UTC()}, 1)
	}
}

// byHistoryOnly is after how many answers in a row that had what no message had brought.
const byHistoryOnly = 3

// bindAgain has the subscriber declare its queue and its binding once more, if it can, as somebody seems to have
// taken that away, and returns what is wrong as long as no live message has come.
func (s *feedSource) bindAgain(ctx context.Context) error {
	err := fmt.Errorf("no live messages come, what comes is by history only: is the subscriber's queue bound to %s?", s.feed.Topic)
	if subscriber, can := s.feed.Subscriber.(message.SubscribeInitializer); can && time.Since(s.boundAgain) > slowAgain {
		s.boundAgain = time.Now()
		if failed := subscriber.SubscribeInitialize(s.feed.Topic); failed != nil {
			s.logger.WarnContext(ctx, "queue not bound again", "error", failed)
		}
	}
	return err
}

// untroubled tells that nothing is on record.
func (a *applier) untroubled() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.trouble == nil
}

// check renews the lease and asks for history if there is reason to.
func (s *feedSource) check(ctx context.Context) error {
	stored, err := s.load(ctx)
	if errors.Is(err, ErrOlderProgram) {
		s.standBy(ctx, err)
	}
	if err != nil {
		return err
	}
	if stored.Position != s.at.Position { // perhaps on another node
		s.asker.lives()
	}
	s.at = stored.checkpoint
	s.generation.Store(s.at.Generation)
	if !s.at.Running {
		s.asker.forget()
		return nil
	}
	active, _, _, err := s.m.states.lease(ctx, s.Name, s.m.node, s.at.Generation, s.m.config.LeaseTime(), s.meter.now(), s.certainHead())
	if err != nil {
		return err
	}
	if !active {
		s.standBy(ctx, nil)
		s.asker.forget()
		return nil
	}
	s.stands = false
	idle, quiet := s.asker.idle()
	missing := s.at.Position < eventsourced.Position(s.seen.Load()) && quiet >= s.m.config.PollInterval
	if idle && (missing || s.early.overdue(s.at)) && s.remote.Load() == nil || s.asker.due(s.at) {
		s.asker.ask(s.at)
	}
	return nil
}

// hear notes that a position exists.
func (s *feedSource) hear(position eventsourced.Position) {
	if int64(position) > s.seen.Load() {
		s.seen.Store(int64(position))
	}
}

// certainHead is how far the other context's relay is, nil when that is not certain.
func (s *feedSource) certainHead() *int64 {
	if !s.starts() || !s.asker.certain() || s.asker.trouble() != nil || s.relayIsBehind() {
		return nil
	}
	seen := s.seen.Load()
	return &seen
}

// headBy is certainHead of the node that is at it, of which a command or a node that stands by knows from its record.
func (s *feedSource) headBy(stored record) *int64 {
	if stored.leaseValid && stored.node != s.m.node {
		return stored.heard
	}
	return s.certainHead()
}

// measure implements [source]: what is known of the log is from its messages.
func (s *feedSource) measure(_ context.Context, status *consumer.Status, stored record, _ *lookAhead) error {
	status.Head = max(status.Position, eventsourced.Position(s.seen.Load()))
	trouble, heard := s.asker.trouble(), s.headBy(stored)
	if heard != nil {
		status.Head = max(status.Head, eventsourced.Position(*heard))
	}
	if status.Head == status.Position && heard != nil {
		return nil
	}
	status.Behind = -1
	if status.Position > 0 {
		status.Lag = max(time.Since(status.Position.Time()), 0)
	}
	return trouble
}

// late implements [source].
func (s *feedSource) late(status *consumer.Status, stored record) bool {
	return status.Lag > s.m.config.PollInterval || s.headBy(stored) == nil
}

// look implements [source].
func (s *feedSource) look() {
	nudge(s.nudges)
	nudge(s.looks)
}
