package web

import (
	"strings"
	"time"

	ics "github.com/arran4/golang-ical"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

const (
	zoneName = "Europe/Stockholm"
	zoneTime = "20060102T150405"
	allDay   = "20060102"
)

// iCalendar returns dances as RFC 5545 has them.
func iCalendar(l *language, d data, now time.Time) string {
	c := ics.NewCalendarFor("DanceFinder")
	c.SetMethod(ics.MethodPublish)
	c.SetProductId("-//DanceFinder//DanceFinder//" + strings.ToUpper(l.Tag))
	c.SetXWRCalName(l.T("calendar name"))
	c.SetRefreshInterval("PT1H")
	addZone(c)
	for _, e := range d.events.Items {
		band, known := d.bands[e.BandID]
		if !known {
			band.Name = l.T("unknown band")
		}
		hall, located := d.halls[e.DanceHallID]
		if !located {
			hall.Name = l.T("unknown hall")
		}
		addDance(c, l, e, band, hall, now)
	}
	return c.Serialize(ics.WithNewLineWindows)
}

// addZone describes Stockholm's clocks, as the European Union has set them since 1996.
func addZone(c *ics.Calendar) {
	zone := c.AddTimezone(zoneName)
	summer := &ics.Daylight{}
	summer.SetProperty(ics.ComponentPropertyDtStart, "19960331T020000")
	summer.SetProperty(ics.ComponentPropertyRrule, "FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU")
	summer.SetProperty("TZOFFSETFROM", "+0100")
	summer.SetProperty("TZOFFSETTO", "+0200")
	summer.SetProperty("TZNAME", "CEST")
	winter := ics.NewStandard()
	winter.SetProperty(ics.ComponentPropertyDtStart, "19961027T030000")
	winter.SetProperty(ics.ComponentPropertyRrule, "FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU")
	winter.SetProperty("TZOFFSETFROM", "+0200")
	winter.SetProperty("TZOFFSETTO", "+0100")
	winter.SetProperty("TZNAME", "CET")
	zone.Components = append(zone.Components, summer, winter)
}

func addDance(c *ics.Calendar, l *language, e query.Event, band query.Band, hall query.DanceHall, now time.Time) {
	v := c.AddEvent(e.ID + "@dancefinder")
	v.SetDtStampTime(now.UTC())
	v.SetCreatedTime(e.Created.UTC())
	v.SetModifiedAt(e.Updated.UTC())
	// The read views have no version; this grows with each change as well.
	v.SetSequence(int(e.Updated.Sub(e.Created).Seconds()))
	setTimes(v, e)
	summary, status := band.Name, ics.ObjectStatusConfirmed
	if e.Cancelled() {
		summary, status = l.T("cancelled")+": "+band.Name, ics.ObjectStatusCancelled
	}
	v.SetSummary(summary)
	v.SetStatus(status)
	location := []string{hall.Name}
	if place := (domain.Place{City: hall.Place.City, Municipality: hall.Place.Municipality, State: hall.Place.State}); place.State != "" {
		location = append(location, placeName(&page{language: l}, place))
	}
	v.SetLocation(strings.Join(location, ", "))
	if hall.Coordinate != nil {
		v.SetGeo(hall.Coordinate.Latitude, hall.Coordinate.Longitude)
	}
	if e.Extra != "" {
		v.SetDescription(e.Extra)
	}
}

// setTimes says when the dance is: all day when its start is not known, without an end
// when that is not.
func setTimes(v *ics.VEvent, e query.Event) {
	start, end := e.Times.On(e.Date)
	if start.IsZero() {
		v.SetProperty(ics.ComponentPropertyDtStart, e.Date.Time().Format(allDay), ics.WithValue("DATE"))
		v.SetProperty(ics.ComponentPropertyDtEnd, e.Date.Time().AddDate(0, 0, 1).Format(allDay), ics.WithValue("DATE"))
		v.SetTimeTransparency(ics.TransparencyTransparent)
		return
	}
	zone := &ics.KeyValues{Key: string(ics.ParameterTzid), Value: []string{zoneName}}
	v.SetProperty(ics.ComponentPropertyDtStart, start.In(stockholm).Format(zoneTime), zone)
	if !end.IsZero() {
		v.SetProperty(ics.ComponentPropertyDtEnd, end.In(stockholm).Format(zoneTime), zone)
	}
}
