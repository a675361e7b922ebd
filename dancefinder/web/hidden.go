package web

import "github.com/dancefinder/eventsourcing/dancefinder/query"

// hiddenPanel is what the user has hidden.
type hiddenPanel struct{ Kinds []hiddenKind }

type hiddenKind struct {
	Name  string
	Items []hiddenItem
}

type hiddenItem struct{ Name, Value, Label string }

func hiddenOf(p *page, preferences query.Preferences) *hiddenPanel {
	if !p.Search.Hidden || !p.LoggedIn {
		return nil
	}
	panel := &hiddenPanel{}
	add := func(key string, kind query.Kind, all []query.Named, unknown string) {
		var k hiddenKind
		for _, named := range all {
			item := hiddenItem{Name: named.Name, Value: string(kind) + ":" + named.ID}
			if item.Name == "" {
				item.Name = unknown
			}
			item.Label = p.T("show again of", item.Name)
			k.Items = append(k.Items, item)
		}
		if k.Name = p.T(key); len(k.Items) > 0 {
			panel.Kinds = append(panel.Kinds, k)
		}
	}
	texts := func(names []string) (all []query.Named) {
		for _, name := range names {
			all = append(all, query.Named{ID: name, Name: name})
		}
		return all
	}
	add("bands", query.KindBand, preferences.Bands, p.T("unknown band"))
	add("halls", query.KindDanceHall, preferences.DanceHalls, p.T("unknown hall"))
	add("cities", query.KindCity, texts(preferences.Cities), "")
	add("municipalities", query.KindMunicipality, texts(preferences.Municipalities), "")
	add("states", query.KindState, texts(preferences.States), "")
	return panel
}
