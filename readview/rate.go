package readview

import (
	"encoding/json"
	"math"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// rateOver is the time over which a rate is taken, about.
const rateOver = 5 * time.Second

// meter measures how many events are applied a second, and has the last pages. It is safe for concurrent use.
type meter struct {
	mu     sync.Mutex
	events int64 // since at
	at     time.Time
	rate   float64
	last   time.Time // something was applied
	pages  [pagesKept]PageTaken
	taken  int // pages so far: that after the last one is at taken modulo pagesKept
}

// now returns the rate; what is older counts for less and less.
func (m *meter) now() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	took := now.Sub(m.at)
	switch {
	case m.at.IsZero():
		m.at = now
		return 0
	case took < 10*time.Millisecond: // too little to tell
		return m.rate
	}
	weight := 1 - math.Exp(-took.Seconds()/rateOver.Seconds())
	if m.rate == 0 {
		weight = 1
	}
	if m.events > 0 {
		m.last = now
	}
	if m.rate += weight * (float64(m.events)/took.Seconds() - m.rate); m.rate < 0.01 || now.Sub(m.last) > 4*rateOver {
		m.rate = 0
	}
	m.events, m.at = 0, now
	return m.rate
}

// replayDead is when a rebuild that does not say anything any more is not under way.
const replayDead = 30 * time.Second

// status is what the record of a rebuild says.
func (r rebuildRecord) status() *consumer.Replay {
	s := &consumer.Replay{
		Command: r.command, Phase: r.phase, Events: r.events, Total: r.total, Node: consumer.NodeName(r.node), Detail: r.detail, Began: r.started.UTC(),
	}
	r.found(s)
	took := r.beat.Sub(r.started).Seconds()
	if took > 0 {
		s.Rate = float64(r.events) / took
	}
	if r.ended != nil {
		s.Ended = r.ended.UTC()
		return s
	}
	if r.waits != nil {
		_ = json.Unmarshal([]byte(*r.waits), &s.Waits) // for people: detail has it in words
	}
	if s.Running = time.Since(r.beat) < replayDead; !s.Running {
		s.Waits = nil
		s.Phase = "interrupted"
		return s
	}
	if s.Rate > 0 && r.total > r.events {
		s.Left = time.Duration(float64(r.total-r.events) / s.Rate * float64(time.Second))
	}
	return s
}

// found completes it with what the last verification has found that could tell.
func (r rebuildRecord) found(s *consumer.Replay) {
	var result struct {
		Verified
		At time.Time `json:"at"`
	}
	if r.result == nil || json.Unmarshal([]byte(*r.result), &result) != nil {
		return
	}
	s.Equal, s.Told, s.Different = &result.Equal, result.At.UTC(), result.different()
}
