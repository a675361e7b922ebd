package readview

import (
	"errors"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// pagesKept is how many of a projection's last pages are remembered.
const pagesKept = 20

// LastPages are the last pages of a projection that this process has applied or tried, since it has started.
type LastPages struct {
	Node  string      // this process's, as in Node of [consumer.Status]: another one's pages are known there
	Pages []PageTaken // the last one first, 20 at most
}

// PageTaken is a page of events of one transaction.
type PageTaken struct {
	Began  time.Time     // the transaction
	Took   time.Duration // to its commit, with the wait for its locks
	Events int           // that were applied or, when it has failed, that were tried
	Failed bool          // none was applied: it was rolled back, or its commit was not heard of
}

// LastPages returns what the last pages of the projection took, of those that this process has applied: what a rebuild, a retry of
// parked events and a verification do is not among them. It asks nobody. [ErrUnknownProjection] when there is none of that name.
func (m *Manager) LastPages(name string) (LastPages, error) {
	r, err := m.runner(name)
	if err != nil {
		return LastPages{}, err
	}
	return LastPages{Node: consumer.NodeName(m.node), Pages: r.meter.lastPages()}, nil
}

// page counts the events of a transaction, and remembers it if it was about some: of so many events that were tried, so many were applied.
func (m *meter) page(began time.Time, applied, tried int, err error) {
	took := PageTaken{Began: began, Took: time.Since(began), Events: applied, Failed: err != nil}
	switch {
	case errors.Is(err, errStale), errors.Is(err, pipeline.ErrTogether), errors.Is(err, pipeline.ErrAlone): // nothing has gone wrong
		return
	case err != nil:
		took.Events, applied = tried, 0
	}
	if took.Events == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events += int64(applied)
	m.pages[m.taken%pagesKept] = took
	m.taken++
}

func (m *meter) lastPages() []PageTaken {
	m.mu.Lock()
	defer m.mu.Unlock()
	var pages []PageTaken
	for i := m.taken - 1; i >= max(0, m.taken-pagesKept); i-- {
		pages = append(pages, m.pages[i%pagesKept])
	}
	return pages
}
