package readview

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// asker asks another context for a projection's history, window by window. It has a lock of its own and
// publishes in a goroutine of its own: an answer is applied while a request is still on its way.
type asker struct {
	feed  Feed
	id    string   // unique to the projection on this node
	names []string // that it handles
	news  chan struct{}

	mu      sync.Mutex
	wanted  *checkpoint // to be asked for
	begun   bool        // something was
	asked   checkpoint  // last
	request string      // its id, which it keeps when it is repeated
	askedAt time.Time   // or when the last page of an answer came
	waiting bool        // for the end of the answer
	sure    bool        // that nothing was missing, since the last start or reset: see complete and follows
	asks    int         // since the last page of an answer
	sign    time.Time   // of life: the last request, or message applied
	met     bool        // something that it could apply has come since the start
	heard   bool        // a live message has come
	vain    int         // requests since the last page of an answer, or message that was in order
	since   time.Time   // the first of them
	refused error       // the last one's
	rested  time.Time   // when the last message was done with, zero while one is handled
}

func newAsker(feed Feed, id string, names []string) *asker {
	return &asker{feed: feed, id: id, names: names, news: make(chan struct{}, 1), rested: time.Now()}
}

// ask has the history after a position asked for soon.
func (a *asker) ask(from checkpoint) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.feed.Requests == nil {
		return
	}
	a.sure = a.sure && a.asked.Generation == from.Generation
	if !a.waiting || a.asked != from {
		a.request = eventsourced.NewEventID().String()
	}
	a.wanted, a.asked, a.begun, a.waiting, a.sign = &from, from, true, true, time.Now()
	a.askedAt = a.sign
	a.asks++
	if a.vain++; a.vain == 1 {
		a.since, a.heard = a.sign, false
	}
	nudge(a.news)
}

// ahead asks for the window after a page that is about to be applied, if it is the last one of its
// answer and there is more: the next one is on its way meanwhile.
func (a *asker) ahead(content relay.Page, generation int64) {
	next := checkpoint{Position: content.UpTo, Generation: generation, Running: true}
	if !content.More() || a.hasAsked(next) {
		return
	}
	a.ask(next)
}

func (a *asker) hasAsked(from checkpoint) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.begun && a.asked == from
}

// answered notes that a page of an answer has come.
func (a *asker) answered() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.met, a.askedAt, a.asks, a.vain = true, time.Now(), 0, 0
}

// follows notes that a live message which ends at a position was applied, and followed what was applied
// before: so nothing is missing up to there, and who has sent it is there. If it is not an old one, as after
// an outage, there is no need for the answer.
func (a *asker) follows(upTo eventsourced.Position) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.met, a.vain = true, 0
	if time.Since(upTo.Time()) < answerPatience {
		a.waiting, a.sure = false, true
	}
}

// hears notes that a live message has come, whether it can be applied or not.
func (a *asker) hears() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard = true
}

// complete notes that all up to a position is applied, and that there was no more.
func (a *asker) complete(upTo eventsourced.Position) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if upTo >= a.asked.Position {
		a.waiting, a.sure = false, true
	}
}

// forget has it all asked anew: somebody else has the lease, or nothing is applied now.
func (a *asker) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begun, a.waiting, a.sure, a.met, a.heard, a.wanted, a.asks, a.vain, a.refused = false, false, false, false, false, nil, 0, 0, nil
}

// certain tells that no history is missing, as far as one can know.
func (a *asker) certain() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sure || a.feed.Requests == nil
}

// lives notes that a message was applied.
func (a *asker) lives() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sign = time.Now()
}

// busy notes that a message is handled, or not any longer.
func (a *asker) busy(is bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rested = time.Now(); is {
		a.rested = time.Time{}
	}
}

// due tells whether to ask again from a checkpoint: nothing was asked, the answer is late, or it is quiet. A
// request whose answer may be behind other messages is repeated ever more seldom, but it is: it may be lost.
func (a *asker) due(at checkpoint) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	quiet := time.Since(a.sign)
	switch {
	case !a.begun || a.asked.Generation != at.Generation:
		return true
	case a.refused != nil:
		return time.Since(a.askedAt) >= min(a.feed.AskAgain, answerPatience)
	case a.waiting:
		return quiet >= a.patience() || time.Since(a.askedAt) >= wait.BackOff{First: a.feed.AskAgain, Last: 1000 * a.feed.AskAgain}.Limit(a.asks+1)
	}
	return quiet >= a.feed.AskAtLeast
}

// idle tells that no answer is expected, and for how long nothing has happened.
func (a *asker) idle() (bool, time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.waiting, time.Since(a.sign)
}

// patience is how long to wait for an answer while nothing comes: longer with each repetition, as the answers may
// only be late. Who has never had one repeats the first requests sooner: nobody was there to
// receive them, perhaps. The caller holds the mutex.
func (a *asker) patience() time.Duration {
	if !a.met {
		return wait.BackOff{First: answerPatience, Last: a.feed.AskAgain}.Limit(a.asks)
	}
	return wait.BackOff{First: a.feed.AskAgain, Last: max(a.feed.AskAgain, a.feed.AskAtLeast)}.Limit(a.asks)
}

// answerPatience is how long an answer takes at most, when nothing is before it.
const answerPatience = time.Second

// trouble returns why no history comes, nil when it comes: requests can't be sent, or nobody answers. A
// first request counts when nothing stands before its answer.
func (a *asker) trouble() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refused != nil {
		return &consumer.ProblemError{Err: a.refused, Since: a.since, Attempts: max(a.vain, 1)}
	}
	if a.vain == 0 {
		return nil
	}
	patience := min(answerPatience, a.feed.AskAgain)
	alone := !a.rested.IsZero() && time.Since(a.rested) > patience && time.Since(a.since) > patience
	if !alone && a.vain < 3 {
		return nil
	}
	times := "once"
	if a.vain > 1 {
		times = fmt.Sprintf("%d times", a.vain)
	}
	question := "is the relay running?"
	if a.heard {
		question = fmt.Sprintf("its messages come, but does the relay receive requests from there, and may it answer to %s (its log says if not)?", a.feed.ReplyTo)
	}
	err := fmt.Errorf("asked %s %s since %s, no answer: %s", a.feed.RequestTopic, times, a.since.UTC().Format(time.RFC3339), question)
	return &consumer.ProblemError{Err: err, Since: a.since, Attempts: a.vain}
}

// run sends requests until ctx ends. One that is being sent then is not waited for: a Publish may wait
// for the other side.
func (a *asker) run(ctx context.Context) {
	for {
		select {
		case <-a.news:
		case <-ctx.Done():
			return
		}
		a.mu.Lock()
		from, request := a.wanted, a.request
		a.wanted = nil
		a.mu.Unlock()
		if from == nil {
			continue
		}
		sent := make(chan error, 1)
		go func() { sent <- a.send(ctx, from.Position, request) }()
		select {
		case err := <-sent:
			a.mu.Lock()
			a.refused = err
			a.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

func (a *asker) send(ctx context.Context, after eventsourced.Position, request string) error {
	msg, err := relay.MarshalHistoryRequest(relay.HistoryRequest{
		Topic: a.feed.Topic, After: after, ReplyTo: a.feed.ReplyTo, Asker: a.id, ID: request,
		Events: a.feed.AskEvents, Bytes: a.feed.AskBytes, Names: a.names, Expires: max(a.feed.AskAgain, answerPatience),
	})
	if err != nil {
		return err
	}
	msg.SetContext(ctx)
	if err := a.feed.Requests.Publish(a.feed.RequestTopic, msg); err != nil && ctx.Err() == nil {
		return fmt.Errorf("ask for history: %w", err)
	}
	return nil
}
