package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

// CreateBand makes a band known.
type CreateBand struct {
	Name string // see ParseBandName
}

// RenameBand gives a band another name. The names that it has had stay its own:
// whoever creates a band by one of them meets this one.
type RenameBand struct {
	BandID BandID
	Name   string // see ParseBandName
}

// DeleteBand deletes a band. Its dances stay, and their band is unknown.
type DeleteBand struct {
	BandID BandID
	Reason string // for people, at most 200 characters; may be empty
}

// taken says that a name is another band's, or hall's.
type taken[ID ~string] struct{ owner ID }

func (t taken[ID]) Error() string { return "the name belongs to " + string(t.owner) }

// Create records [BandCreated]. Creating a band that exists changes nothing, also
// when the name is spelled another way: the first spelling stays.
func (b *Band) Create(c CreateBand) error {
	name, err := ParseBandName(c.Name)
	switch {
	case err != nil:
		return err
	case b.owner != "":
		return taken[BandID]{b.owner}
	case b.Name() != "":
		return nil
	}
	return eventsourced.Record(b, &BandCreated{Name: string(name)})
}

// Rename records [BandRenamed], or nothing when the band has that name, spelled so.
// That the name is no other band's is for the caller to see to.
func (b *Band) Rename(c RenameBand) error {
	name, err := ParseBandName(c.Name)
	switch {
	case err != nil:
		return err
	case b.Name() == "":
		return ErrBandNotFound
	case b.name == string(name):
		return nil
	}
	return eventsourced.Record(b, &BandRenamed{Name: string(name)})
}

// Delete records [BandDeleted]. Deleting again changes nothing.
func (b *Band) Delete(c DeleteBand) error {
	reason, err := parseText("reason", c.Reason, maxReason)
	switch {
	case err != nil:
		return err
	case b.name == "":
		return ErrBandNotFound
	case b.deleted:
		return nil
	}
	return eventsourced.Record(b, &BandDeleted{Reason: reason})
}

// takeName records [BandNameTaken] in the stream of a name: it belongs to owner from
// now on. It is refused with [ErrBandExists] when it is another band's.
func (b *Band) takeName(owner BandID) error {
	switch {
	case b.owner == owner:
		return nil
	case b.owner != "" || b.Name() != "":
		return ErrBandExists
	}
	return eventsourced.Record(b, &BandNameTaken{BandID: string(owner)})
}
