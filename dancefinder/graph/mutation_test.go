package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/graph"
	"github.com/dancefinder/eventsourcing/dancefinder/identity"
)

// choose is a mutation of preferences with all of its answer.
func choose(field string) string {
	return `mutation { ` + field + ` { consistencyToken errors { code field message } me { origins { name coordinate { latitude } } ignoredBands { id name } ignoredDanceHalls { id name } ignoredCities ignoredMunicipalities ignoredStates } } }`
}

func TestPreferences(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	c := a.fill(2, 8)
	anna := a.token("anna")
	band, hall := string(c.bands[0]), string(c.halls[0])
	steps := []struct{ ignore, unignore, list, value, hides string }{
		{`ignoreBand(id: "` + band + `")`, `unignoreBand(id: "` + band + `")`, "ignoredBands", `[{"id":"` + band + `","name":"Band A"}]`, "BAND"},
		{`ignoreDanceHall(id: "` + hall + `")`, `unignoreDanceHall(id: "` + hall + `")`, "ignoredDanceHalls", `[{"id":"` + hall + `","name":"Parken"}]`, "DANCE_HALL"},
		{`ignoreCity(city: "Falun")`, `unignoreCity(city: "falun")`, "ignoredCities", `["Falun"]`, "CITY"},
		{`ignoreMunicipality(municipality: "Mora")`, `unignoreMunicipality(municipality: "Mora")`, "ignoredMunicipalities", `["Mora"]`, "MUNICIPALITY"},
		{`ignoreState(state: "Skåne län")`, `unignoreState(state: "Skåne")`, "ignoredStates", `["Skåne"]`, "STATE"},
	}
	events := `{ events(filter: {` + july + `, includeIgnored: %t}, first: 200) { hiddenCount totalCount nodes { hiddenBy } } }`
	for _, step := range steps {
		name := strings.SplitN(step.ignore, "(", 2)[0]
		got := a.data(ask{token: anna, query: choose(step.ignore)})
		require.Empty(t, got.at(t, name+".errors"))
		require.JSONEq(t, step.value, marshal(t, got.at(t, name+".me."+step.list)), "what was written is read")
		require.Equal(t, got.Extensions.Consistency.Token, got.at(t, name+".consistencyToken"))
		require.Equal(t, got.Extensions.Consistency.Token, got.header.Get("Consistency-Token"))
		require.True(t, *got.Extensions.Consistency.Satisfied)
		seen := map[string]string{"Consistency-Token": got.Extensions.Consistency.Token}

		list := a.data(ask{token: anna, header: seen, query: fmt.Sprintf(events, false)})
		hidden := int(list.at(t, "events.hiddenCount").(float64))
		require.Positive(t, hidden)
		require.Len(t, list.at(t, "events.nodes"), 8-hidden)
		all := a.data(ask{token: anna, query: fmt.Sprintf(events, true)})
		require.Len(t, all.at(t, "events.nodes"), 8)
		require.Equal(t, hidden, strings.Count(all.text, `"`+step.hides+`"`))
		require.Len(t, a.data(ask{query: fmt.Sprintf(events, false)}).at(t, "events.nodes"), 8, "nobody else is concerned")

		name = strings.SplitN(step.unignore, "(", 2)[0]
		got = a.data(ask{token: anna, query: choose(step.unignore)})
		require.Equal(t, []any{}, got.at(t, name+".me."+step.list))
	}

	t.Run("an origin is found on the map by its name, or is where somebody says", func(t *testing.T) {
		bo := a.token("bo")
		got := a.data(ask{token: bo, query: choose(`addOrigin(name: "Mora")`)})
		require.InDelta(t, 61, got.at(t, "addOrigin.me.origins.0.coordinate.latitude"), 0.1)
		a.data(ask{token: bo, query: choose(`addOrigin(name: "Sommarstugan", coordinate: {latitude: 55.6, longitude: 13})`)})
		got = a.data(ask{token: bo, query: choose(`addOrigin(name: "Atlantis")`)})
		require.JSONEq(t, `[{"name": "Atlantis", "coordinate": null}, {"name": "Mora", "coordinate": {"latitude": `+marshal(t, got.at(t, "addOrigin.me.origins.1.coordinate.latitude"))+`}}, {"name": "Sommarstugan", "coordinate": {"latitude": 55.6}}]`,
			marshal(t, got.at(t, "addOrigin.me.origins")))
		seen := map[string]string{"Consistency-Token": got.Extensions.Consistency.Token}
		near := a.data(ask{token: bo, header: seen, query: `{ events(filter: {` + july + `, myOrigins: true, maxKm: 50}, sort: DISTANCE) { nodes { distance { from } } } }`})
		require.Contains(t, near.text, `"Mora"`)
		require.Contains(t, near.text, `"Sommarstugan"`)
		near = a.data(ask{token: bo, query: `{ events(filter: {` + july + `, myOrigins: true, origins: ["Mora"], maxKm: 50}) { nodes { distance { from } } } }`})
		require.NotContains(t, near.text, `"Sommarstugan"`)
		got = a.data(ask{token: bo, query: choose(`removeOrigin(name: "mora")`)})
		require.Len(t, got.at(t, "removeOrigin.me.origins"), 2)
	})
	t.Run("a refusal is data", func(t *testing.T) {
		got := a.data(ask{token: anna, query: choose(`ignoreBand(id: "00000000-0000-0000-0000-000000000000")`)})
		require.Nil(t, got.at(t, "ignoreBand.consistencyToken"))
		require.JSONEq(t, `[{"code": "BAND_NOT_FOUND", "field": "bandId", "message": "there is no such band"}]`, marshal(t, got.at(t, "ignoreBand.errors")))
		got = a.data(ask{token: anna, query: choose(`ignoreState(state: "Sveriges län")`)})
		require.Equal(t, "INVALID", got.at(t, "ignoreState.errors.0.code"))
		require.Equal(t, "state", got.at(t, "ignoreState.errors.0.field"))
		got = a.data(ask{token: anna, query: choose(`addOrigin(name: " ")`)})
		require.Equal(t, "origin", got.at(t, "addOrigin.errors.0.field"))
	})
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	editor := a.token("editor", identity.RoleCatalogue)
	do := func(field, answer string) answer {
		t.Helper()
		return a.data(ask{token: editor, query: `mutation { ` + field + ` { consistencyToken errors { code field } ` + answer + ` } }`})
	}
	got := do(`createBand(name: "Lasses")`, `bandId band { name }`)
	band := got.at(t, "createBand.bandId").(string)
	require.Equal(t, "Lasses", got.at(t, "createBand.band.name"))
	require.Equal(t, "Lassez", do(`renameBand(id: "`+band+`", name: "Lassez")`, `band { name }`).at(t, "renameBand.band.name"))
	do(`createBand(name: "Kalles")`, `bandId`)
	require.Equal(t, "BAND_EXISTS", do(`renameBand(id: "`+band+`", name: "Kalles")`, `band { name }`).at(t, "renameBand.errors.0.code"))

	got = do(`createDanceHall(input: {name: "Logen", municipality: "Mora", state: "Dalarnas län"})`, `danceHallId danceHall { state coordinate { latitude } }`)
	hall := got.at(t, "createDanceHall.danceHallId").(string)
	require.Equal(t, "Dalarna", got.at(t, "createDanceHall.danceHall.state"))
	require.Nil(t, got.at(t, "createDanceHall.danceHall.coordinate"))
	require.InDelta(t, 61.25, do(`setDanceHallCoordinate(id: "`+hall+`", coordinate: {latitude: 61.25, longitude: 14})`, `danceHall { coordinate { latitude } }`).
		at(t, "setDanceHallCoordinate.danceHall.coordinate.latitude"), 1e-9)
	require.Equal(t, "Vinäs", do(`updateDanceHall(id: "`+hall+`", input: {name: "Logen", city: "Vinäs", municipality: "Mora", state: "Dalarna"})`, `danceHall { city }`).
		at(t, "updateDanceHall.danceHall.city"))
	require.Equal(t, "INVALID", do(`setDanceHallCoordinate(id: "`+hall+`", coordinate: {latitude: 91, longitude: 14})`, `danceHallId`).at(t, "setDanceHallCoordinate.errors.0.code"))

	input := func(extra string) string {
		return fmt.Sprintf(`input: {date: "2026-12-05", startTime: "21:00", endTime: "01:00", bandId: "%s", danceHallId: "%s", extraInfo: "%s"}`, band, hall, extra)
	}
	got = do(`createEvent(`+input("<script>")+`)`, `eventId event { date startTime endTime extraInfo cancelled band { name } danceHall { name } }`)
	event := got.at(t, "createEvent.eventId").(string)
	require.JSONEq(t, `{"date":"2026-12-05","startTime":"21:00","endTime":"01:00","extraInfo":"<script>","cancelled":false,"band":{"name":"Lassez"},"danceHall":{"name":"Logen"}}`, marshal(t, got.at(t, "createEvent.event")))
	require.Equal(t, true, do(`updateEvent(id: "`+event+`", `+input("Inställt")+`)`, `event { cancelled }`).at(t, "updateEvent.event.cancelled"))
	require.Nil(t, do(`deleteEvent(id: "`+event+`")`, `eventId event { id }`).at(t, "deleteEvent.event"))
	require.Equal(t, "EVENT_DELETED", do(`updateEvent(id: "`+event+`", `+input("")+`)`, `eventId`).at(t, "updateEvent.errors.0.code"))
	require.Nil(t, do(`deleteBand(id: "`+band+`")`, `band { id }`).at(t, "deleteBand.band"))
	require.Equal(t, "BAND_NOT_FOUND", do(`createEvent(`+input("")+`)`, `eventId`).at(t, "createEvent.errors.0.code"))
	require.Nil(t, do(`deleteDanceHall(id: "`+hall+`", reason: "gone")`, `danceHall { id }`).at(t, "deleteDanceHall.danceHall"))

	t.Run("a mutation that is repeated counts once", func(t *testing.T) {
		do(`createDanceHall(input: {name: "Logen", municipality: "Mora", state: "Dalarna"})`, `danceHallId`)
		again := do(`createBand(name: "Nya")`, `bandId`).at(t, "createBand.bandId").(string)
		hall := do(`createDanceHall(input: {name: "Nya", municipality: "Mora", state: "Dalarna"})`, `danceHallId`).at(t, "createDanceHall.danceHallId").(string)
		create := func(command, extra string) any {
			got := do(fmt.Sprintf(`createEvent(commandId: "%s", input: {date: "2026-12-05", bandId: "%s", danceHallId: "%s", extraInfo: "%s"})`, command, again, hall, extra), `eventId`)
			require.Empty(t, got.at(t, "createEvent.errors"))
			return got.at(t, "createEvent.eventId")
		}
		const one, other = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
		first := create(one, "")
		require.Equal(t, first, create(one, ""))
		require.NotEqual(t, first, create(other, ""))
		require.NotEqual(t, first, create(one, "something else"))

		// A repetition of what was taken back since does not come into force again.
		ignore := choose(`ignoreCity(city: "Mora", commandId: "` + one + `")`)
		got := a.data(ask{token: editor, query: ignore})
		a.data(ask{token: editor, query: choose(`unignoreCity(city: "Mora", commandId: "` + one + `")`)})
		again2 := a.data(ask{token: editor, query: ignore})
		require.Equal(t, got.at(t, "ignoreCity.consistencyToken"), again2.at(t, "ignoreCity.consistencyToken"))
		seen := map[string]string{"Consistency-Token": got.Extensions.Consistency.Token}
		require.Equal(t, []any{}, a.data(ask{token: editor, header: seen, query: `{ me { ignoredCities } }`}).at(t, "me.ignoredCities"))
		require.Equal(t, "BAD_USER_INPUT", a.ask(ask{token: editor, query: choose(`ignoreCity(city: "Mora", commandId: "1")`)}).code(t))
	})
}

// allMutations calls every mutation of the schema, those of preferences first.
func allMutations(id string) (preferences, catalogue []string) {
	hall := `input: {name: "X", municipality: "X", state: "X"}`
	event := `input: {date: "2026-12-05", bandId: "` + id + `", danceHallId: "` + id + `"}`
	of := `id: "` + id + `"`
	return []string{
			`addOrigin(name: "Mora")`, `removeOrigin(name: "Mora")`,
			`ignoreBand(` + of + `)`, `unignoreBand(` + of + `)`, `ignoreDanceHall(` + of + `)`, `unignoreDanceHall(` + of + `)`,
			`ignoreCity(city: "Mora")`, `unignoreCity(city: "Mora")`, `ignoreMunicipality(municipality: "Mora")`, `unignoreMunicipality(municipality: "Mora")`,
			`ignoreState(state: "Dalarna")`, `unignoreState(state: "Dalarna")`,
		}, []string{
			`createBand(name: "X")`, `renameBand(` + of + `, name: "Y")`, `deleteBand(` + of + `)`,
			`createDanceHall(` + hall + `)`, `updateDanceHall(` + of + `, ` + hall + `)`, `deleteDanceHall(` + of + `)`,
			`setDanceHallCoordinate(` + of + `, coordinate: {latitude: 60, longitude: 15})`,
			`createEvent(` + event + `)`, `updateEvent(` + of + `, ` + event + `)`, `deleteEvent(` + of + `)`,
		}
}

func TestPrivacy(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	c := a.fill(1, 4)
	id := string(c.bands[0])
	preferences, catalogue := allMutations(id)
	require.Len(t, append(preferences, catalogue...), len(schema(t).Mutation.Fields), "every mutation is tried")
	const everything = `{ me { subject roles origins { name coordinate { latitude } } ignoredBands { id name } ignoredDanceHalls { id name } ignoredCities ignoredMunicipalities ignoredStates }
		band(id: "%[1]s") { ignored } danceHall(id: "%[2]s") { ignored }
		events(filter: {from: "2026-07-01", to: "2026-07-31", includeIgnored: true}) { hiddenCount nodes { hiddenBy distance { km } band { ignored } danceHall { ignored } } } }`
	query := fmt.Sprintf(everything, id, c.halls[0])
	nobody := a.data(ask{query: query})
	require.Nil(t, nobody.at(t, "me"))
	bo := a.data(ask{token: a.token("bo"), query: query})

	anna := a.token("anna")
	var last answer
	for _, mutation := range []string{`addOrigin(name: "Secret")`, preferences[2], `ignoreDanceHall(id: "` + string(c.halls[0]) + `")`, preferences[6], preferences[8], preferences[10]} {
		last = a.data(ask{token: anna, query: choose(mutation)})
	}
	seen := map[string]string{"Consistency-Token": last.Extensions.Consistency.Token}
	annas := a.data(ask{token: anna, query: query, header: seen})
	require.Contains(t, annas.text, "Secret")
	require.Equal(t, true, annas.at(t, "band.ignored"))
	require.Equal(t, true, annas.at(t, "danceHall.ignored"))

	t.Run("the answers to others are what they were", func(t *testing.T) {
		require.Equal(t, nobody.Data, a.data(ask{query: query, header: seen}).Data)
		require.Equal(t, bo.Data, a.data(ask{token: a.token("bo"), query: query, header: seen}).Data)
	})
	t.Run("nobody logged in: no mutation, and no origins to start from", func(t *testing.T) {
		for _, mutation := range append(preferences, catalogue...) {
			got := a.ask(ask{query: `mutation { ` + mutation + ` { consistencyToken errors { code } } }`})
			require.Equal(t, graph.CodeUnauthenticated, got.code(t), mutation)
			require.Nil(t, got.Data)
		}
		require.Equal(t, graph.CodeUnauthenticated, a.ask(ask{query: `{ events(filter: {` + july + `, myOrigins: true}) { totalCount } }`}).code(t))
	})
	t.Run("no catalogue without its role, and no other role does", func(t *testing.T) {
		for _, mutation := range catalogue {
			for _, token := range []string{anna, a.token("op", identity.RoleOperator)} {
				got := a.ask(ask{token: token, query: `mutation { ` + mutation + ` { consistencyToken errors { code } } }`})
				require.Equal(t, graph.CodeForbidden, got.code(t), mutation)
			}
		}
	})
	t.Run("a token that is none is refused as a whole", func(t *testing.T) {
		for _, token := range []string{"x", anna[:len(anna)-2], anna + "x", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJkZW1vOmFubmEifQ."} {
			got := a.ask(ask{token: token, query: query})
			require.Equal(t, 401, got.status)
			require.NotContains(t, got.text, "Secret")
		}
	})
	t.Run("what one user changes is not another's", func(t *testing.T) {
		for _, mutation := range preferences {
			a.data(ask{token: a.token("carl"), query: choose(mutation)})
		}
		after := a.data(ask{token: anna, query: query, header: seen})
		require.Equal(t, annas.Data, after.Data)
	})
}
