package domain

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// addBandID brings BandIgnored and BandUnignored from schema version 1, which
// named the band only, to version 2. It can, because a band's id follows from its
// name. (A hall's follows from its place as well, which a name would not tell:
// DanceHallIgnored has carried the id from the start.)
func addBandID(_ context.Context, event eventsourced.Stored) (json.RawMessage, error) {
	var v1 struct {
		Subject  string `json:"subject"`
		BandName string `json:"bandName"`
	}
	if err := json.Unmarshal(event.Payload, &v1); err != nil {
		return nil, err
	}
	if Key(v1.BandName) == "" {
		return nil, errors.New("it does not name a band")
	}
	return json.Marshal(struct {
		Subject  string `json:"subject"`
		BandID   BandID `json:"bandId"`
		BandName string `json:"bandName"`
	}{v1.Subject, BandIDFor(BandName(v1.BandName)), v1.BandName})
}
