package readview

import (
	"context"
	"fmt"
	"time"
)

// takePublished takes a message, unless it tells that the other context publishes more since the
// projection began to read: then its tables lack what was before, and it stops until it is reset. With
// [Projection.AcceptNewEvents] it goes on.
func (s *feedSource) takePublished(ctx context.Context, d *delivery) (done bool, wait time.Duration, err error) {
	told := d.content.Publication
	live := d.live()
	switch {
	case !s.at.Running || d.content.After == unknown:
	case s.at.Position == 0 && d.content.After == 0, !live && s.read == nil:
		// What is read from here on is of this publication.
		if s.read == nil || *s.read != told {
			if err := s.m.states.reads(ctx, s.Name, s.at.Generation, told); err != nil {
				return false, 0, err
			}
			s.read = &told
		}
	case live: // about all events: an answer tells about those that are handled
		if idle, _ := s.asker.idle(); idle && told > s.heard {
			s.heard = told
			s.asker.ask(s.at)
		}
	case told > *s.read && s.AcceptNewEvents:
		if err := s.m.states.reads(ctx, s.Name, s.at.Generation, told); err != nil {
			return false, 0, err
		}
		s.logger.WarnContext(ctx, "the other context publishes more of the events that are handled, or in another form: what was before is passed over",
			"from", int64(d.content.PublishedFrom))
		s.read = &told
	case told > *s.read:
		_ = s.stop(ctx, s.at, "failed", fmt.Errorf("the other context publishes more of the events that %s handles since position %d, "+
			"or in another form: what %s has read before lacks them. Reset %s, and it reads all from the beginning",
			s.Name, d.content.PublishedFrom, s.Name, s.Name))
		s.at.Running = false
	}
	return s.take(ctx, d)
}

// stale tells that a message is not to be tried again as it is, and asks for what it has: the projection
// has failed at it, or in an earlier process at one like it, and what the other context sends now may be
// another form of the same event.
func (s *feedSource) stale(d *delivery) bool {
	fits := s.at.Running && s.at.Position >= d.page.after && s.at.Position < d.page.upTo
	if !fits || s.feed.Requests == nil || !d.failed && !(s.again && d.content.Head == 0) {
		return false
	}
	s.again = false
	s.asker.ask(s.at)
	return true
}
