package domain

import (
	"encoding/hex"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// A calendar link is a capability: whoever has it sees the user's list, without
// logging in. Nothing but the hash of its secret is ever stored, so that neither the
// log nor the read views give it away.

// ReplaceCalendarLink gives the user another calendar link, or none; the one before
// does not work any more.
type ReplaceCalendarLink struct {
	Subject string
	Hash    string // SHA-256 of the link's secret, in hexadecimal digits; "" for no link
}

// CalendarLinkReplaced says that the user has another calendar link, or none.
type CalendarLinkReplaced struct {
	eventsourced.BaseEvent
	Subject string `json:"subject"`
	Hash    string `json:"hash,omitempty"` // of the link's secret; empty when there is no link any more
}

func (c ReplaceCalendarLink) preference() preference {
	return preference{subject: c.Subject, decide: func(p *UserPreferences, subject string, _ choice) error {
		if sum, err := hex.DecodeString(c.Hash); err != nil || len(sum) != 0 && len(sum) != 32 {
			return invalid("hash", "is not a SHA-256 in hexadecimal digits")
		}
		if c.Hash == p.calendarLink {
			return nil
		}
		return eventsourced.Record(p, &CalendarLinkReplaced{Subject: subject, Hash: c.Hash})
	}}
}
