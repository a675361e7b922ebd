package terminal

import "time"

// Age makes it have begun some time ago.
func (p *Progress) Age(ago time.Duration) {
	p.started, p.reported = p.started.Add(-ago), p.reported.Add(-ago)
}
