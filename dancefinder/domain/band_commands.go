package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

// CreateBand makes a band known.
type CreateBand struct {
	Name string // see ParseBandName
}

// Create records [BandCreated]. Creating a band that exists changes nothing, also
// when the name is spelled another way: the first spelling stays.
func (b *Band) Create(c CreateBand) error {
	name, err := ParseBandName(c.Name)
	if err != nil {
		return err
	}
	if b.name != "" {
		return nil
	}
	return eventsourced.Record(b, &BandCreated{Name: string(name)})
}
