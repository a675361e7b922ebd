package domain

import (
	"errors"
	"net/url"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// CreateEvent makes a dance event known. Band and hall must exist.
type CreateEvent struct {
	EventID EventID // from EventIDFor, or NewEventID; empty asks for the latter
	EventDetails
}

// UpdateEvent replaces all details of a dance event. Band and hall must exist.
type UpdateEvent struct {
	EventID EventID
	EventDetails

	// ExpectedVersion is the version of the dance event that the details were
	// made from: if it has another one and other details by now, the update is
	// refused with ErrEventChanged. 0 updates whatever version it has.
	ExpectedVersion eventsourced.Version
}

// DeleteEvent deletes a dance event.
type DeleteEvent struct {
	EventID EventID
	Reason  string // for people, at most 200 characters; may be empty
}

// Limits of texts, in characters.
const (
	maxExtraInfo = 2000
	maxSourceURL = 2000
	maxReason    = 200
)

// Create records [EventCreated]. Creating what exists with the same details
// changes nothing; with others it is [ErrEventExists], and [ErrEventDeleted] once
// it was deleted. That band and hall exist is for the caller to check.
func (e *Event) Create(c CreateEvent) error {
	details, err := c.parse()
	switch {
	case err != nil:
		return err
	case e.deleted:
		return ErrEventDeleted
	case e.details == details:
		return nil
	case e.details != EventDetails{}:
		return ErrEventExists
	}
	created := details.created()
	return eventsourced.Record(e, &created)
}

// Update records [EventUpdated], or nothing when the details are the same. That
// band and hall exist is for the caller to check.
func (e *Event) Update(c UpdateEvent) error {
	details, err := c.parse()
	if err != nil {
		return err
	}
	if err := e.changeable(); err != nil {
		return err
	}
	switch {
	case e.details == details:
		return nil
	case c.ExpectedVersion != 0 && c.ExpectedVersion != e.Version():
		return ErrEventChanged
	}
	updated := EventUpdated(details.created())
	return eventsourced.Record(e, &updated)
}

// Delete records [EventDeleted]. Deleting again changes nothing.
func (e *Event) Delete(c DeleteEvent) error {
	reason, err := parseText("reason", c.Reason, maxReason)
	if err != nil {
		return err
	}
	switch err := e.changeable(); {
	case errors.Is(err, ErrEventDeleted):
		return nil
	case err != nil:
		return err
	}
	return eventsourced.Record(e, &EventDeleted{Reason: reason})
}

// parse returns the details in the form in which they are stored and compared.
func (d EventDetails) parse() (EventDetails, error) {
	date, err := ParseDate(d.Date)
	if err != nil {
		return EventDetails{}, err
	}
	times, err := ParseTimeRange(d.StartTime, d.EndTime)
	if err != nil {
		return EventDetails{}, err
	}
	d.Date, d.StartTime, d.EndTime = string(date), string(times.Start), string(times.End)
	if d.BandID, err = parseID("bandId", d.BandID); err != nil {
		return EventDetails{}, err
	}
	if d.DanceHallID, err = parseID("danceHallId", d.DanceHallID); err != nil {
		return EventDetails{}, err
	}
	if d.ExtraInfo, err = parseText("extraInfo", d.ExtraInfo, maxExtraInfo); err != nil {
		return EventDetails{}, err
	}
	if d.SourceURL, err = parseURL("sourceUrl", d.SourceURL); err != nil {
		return EventDetails{}, err
	}
	return d, nil
}

// parseURL returns the address of a page of the web, or nothing for nothing.
func parseURL(field, s string) (string, error) {
	s, err := parseText(field, s, maxSourceURL)
	if err != nil || s == "" {
		return "", err
	}
	page, err := url.Parse(s)
	if err != nil || (page.Scheme != "http" && page.Scheme != "https") || page.Host == "" {
		return "", invalid(field, "%.60q is not the address of a web page", s)
	}
	return s, nil
}
