package eventsourced_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Measured is an event whose payload can't always be encoded.
type Measured struct {
	eventsourced.BaseEvent
	Value float64
}

func TestNewRegistry(t *testing.T) {
	t.Parallel()
	t.Run("knows events by the names that it was given", func(t *testing.T) {
		t.Parallel()
		registry := newRegistry(t, eventsourced.Type[Withdrawn]("money.out"), eventsourced.Type[Deposited]("money.in"))
		require.Equal(t, []string{"money.in", "money.out"}, registry.Names())
		name, ok := registry.NameOf(reflect.TypeFor[*Deposited]())
		require.True(t, ok)
		require.Equal(t, "money.in", name)
		_, ok = registry.NameOf(reflect.TypeFor[Deposited]())
		require.False(t, ok, "events are pointers")
		_, ok = registry.NameOf(reflect.TypeFor[*Measured]())
		require.False(t, ok)
	})
	t.Run("may be empty", func(t *testing.T) {
		t.Parallel()
		require.Empty(t, newRegistry(t).Names())
	})
	t.Run("panics with all problems where they can't be handled", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []string{"Deposited"}, eventsourced.MustRegistry(eventsourced.Type[Deposited]("Deposited")).Names())
		require.PanicsWithValue(t, "eventsourced.MustRegistry: event registry: option 0 is nil\ninvalid: the event name is empty", func() {
			eventsourced.MustRegistry(nil, eventsourced.Type[Deposited](""))
		})
	})
	t.Run("reports all problems at once", func(t *testing.T) {
		t.Parallel()
		keep := func(_ context.Context, event eventsourced.Stored) (json.RawMessage, error) { return event.Payload, nil }
		registry, err := eventsourced.NewRegistry(
			eventsourced.Type[Deposited]("Deposited"),
			eventsourced.Type[Withdrawn]("Deposited"),
			eventsourced.Type[Deposited]("PaidIn"),
			eventsourced.Type[Measured](" ", eventsourced.Upcast(2, keep)),
			eventsourced.Type[Gone]("Gone", eventsourced.Upcast(1, nil), nil),
			eventsourced.Type[Renamed](strings.Repeat("n", eventsourced.MaxName+1), eventsourced.Upcast(0, keep)),
		)
		require.Nil(t, registry)
		require.ErrorIs(t, err, eventsourced.ErrInvalid)
		for _, problem := range []string{
			"event registry: ",
			`event name "Deposited" is registered twice`,
			`*eventsourced_test.Deposited is registered twice, as "Deposited" and "PaidIn"`,
			"the event name is empty",
			`event " " has 1 upcasters but none from schema version 1`,
			`event "Gone" has a nil function for schema version 1`,
			`event "Gone": option 1 is nil`,
			"has 201 bytes, the limit is 200",
			"nnn\" has 1 upcasters but none from schema version 1",
		} {
			require.ErrorContains(t, err, problem)
		}
	})
}

type (
	Gone    struct{ eventsourced.BaseEvent }
	Renamed struct{ eventsourced.BaseEvent }
)

func TestEncode(t *testing.T) {
	t.Parallel()
	registry := newRegistry(t, eventsourced.Type[Deposited]("Deposited"), eventsourced.Type[Measured]("Measured"))
	at := time.Date(2026, 7, 4, 20, 30, 0, 123456000, time.UTC)
	t.Run("gives each event an id, its name and its payload", func(t *testing.T) {
		t.Parallel()
		first, second := &Deposited{Amount: 1}, &Deposited{Amount: 2}
		eventsourced.SetBase(first, eventsourced.BaseEvent{EventAggregateId: accountID, EventTime: at})
		encoded, err := registry.Encode(t.Context(), first, second)
		require.NoError(t, err)
		require.Len(t, encoded, 2)
		require.NotEqual(t, encoded[0].ID, encoded[1].ID)
		require.False(t, encoded[0].ID.IsZero())
		encoded[0].ID = eventsourced.EventID{}
		require.Equal(t, eventsourced.EventData{Name: "Deposited", SchemaVersion: 1, Time: at, Payload: []byte(`{"amount":1}`)}, encoded[0])
	})
	t.Run("refuses a type that is not registered", func(t *testing.T) {
		t.Parallel()
		for _, event := range []eventsourced.Event{&Withdrawn{}, nil} {
			_, err := registry.Encode(t.Context(), &Deposited{}, event)
			require.ErrorIs(t, err, eventsourced.ErrUnknownEvent)
		}
		_, err := registry.Encode(t.Context(), &Withdrawn{})
		require.EqualError(t, err, "encode *eventsourced_test.Withdrawn: unknown event: register it with eventsourced.Type")
	})
	t.Run("names the event that has no JSON", func(t *testing.T) {
		t.Parallel()
		_, err := registry.Encode(t.Context(), &Measured{Value: math.NaN()})
		var unsupported *json.UnsupportedValueError
		require.ErrorAs(t, err, &unsupported)
		require.ErrorContains(t, err, "encode Measured: ")
	})
}

// recordedAs returns an event of the account as it stands in the log.
func recordedAs(name string, schemaVersion int, payload string) eventsourced.Recorded {
	event := valid()
	event.Name, event.SchemaVersion, event.Payload = name, schemaVersion, []byte(payload)
	event.Time = time.Date(2026, 7, 4, 20, 30, 0, 123456000, time.UTC)
	return eventsourced.Recorded{EventData: event, Stream: accountStream, Version: 7, Position: 1783197000123456}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	registry := accountRegistry(t)
	t.Run("restores the base from the record, not from the payload", func(t *testing.T) {
		t.Parallel()
		recorded := recordedAs("Deposited", 1, `{"amount": 5, "EventAggregateId": "forged", "EventTime": "1999-01-01T00:00:00Z", "BaseEvent": {"EventAggregateId": "forged"}}`)
		event, err := decodeOne(t, registry, recorded)
		require.NoError(t, err)
		require.Equal(t, &Deposited{
			BaseEvent: eventsourced.BaseEvent{EventAggregateId: accountID, EventTime: recorded.Time},
			Amount:    5,
		}, event)
		require.Equal(t, accountID, event.AggregateID())
		require.Equal(t, recorded.Time, event.OccurredAt())
	})
	t.Run("of an unknown event names all that is known of it", func(t *testing.T) {
		t.Parallel()
		recorded := recordedAs("Mystery", 3, `{}`)
		event, err := decodeOne(t, registry, recorded)
		require.Nil(t, event)
		require.ErrorIs(t, err, eventsourced.ErrUnknownEvent)
		var decode *eventsourced.DecodeError
		require.ErrorAs(t, err, &decode)
		require.Equal(t, recorded, decode.Event)
		require.EqualError(t, err, "decode Mystery (schema 3) of test.Account/acc-1, version 7, position 1783197000123456, id "+recorded.ID.String()+": unknown event")
	})
	t.Run("of a payload that does not fit keeps the cause", func(t *testing.T) {
		t.Parallel()
		_, err := decodeOne(t, registry, recordedAs("Deposited", 1, `{"amount": "much"}`))
		var mismatch *json.UnmarshalTypeError
		require.ErrorAs(t, err, &mismatch)
		require.NotErrorIs(t, err, eventsourced.ErrUnknownEvent)
		require.ErrorContains(t, err, "decode Deposited (schema 1) of test.Account/acc-1, version 7, position 1783197000123456")
	})
}

// Signed has had three forms: {"first", "last"}, {"name"}, {"signer"}.
type Signed struct {
	eventsourced.BaseEvent
	Signer string `json:"signer"`
}

var errNoName = errors.New("it has no name")

func signed(t testing.TB) *eventsourced.Registry {
	t.Helper()
	type fields map[string]any
	change := func(edit func(fields) error) eventsourced.UpcastFunc {
		return func(_ context.Context, event eventsourced.Stored) (json.RawMessage, error) {
			var f fields
			if err := json.Unmarshal(event.Payload, &f); err != nil {
				return nil, err
			}
			if f == nil {
				f = fields{}
			}
			if err := edit(f); err != nil {
				return nil, err
			}
			return json.Marshal(f)
		}
	}
	return newRegistry(t, eventsourced.Type[Signed]("Signed",
		// Not in order: what counts is the version.
		eventsourced.Upcast(2, change(func(f fields) error {
			if name, ok := f["name"].(string); ok && strings.TrimSpace(name) == "" {
				return errNoName
			}
			f["signer"] = f["name"]
			return nil
		})),
		eventsourced.Upcast(1, change(func(f fields) error {
			first, _ := f["first"].(string)
			last, _ := f["last"].(string)
			f["name"] = first + " " + last
			return nil
		})),
	))
}

func TestUpcasters(t *testing.T) {
	t.Parallel()
	registry := signed(t)
	for name, recorded := range map[string]eventsourced.Recorded{
		"bring the first form to the third":  recordedAs("Signed", 1, `{"first": "Åsa", "last": "Ek"}`),
		"bring the second form to the third": recordedAs("Signed", 2, `{"name": "Åsa Ek"}`),
		"leave the third form alone":         recordedAs("Signed", 3, `{"signer": "Åsa Ek"}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := string(recorded.Payload)
			event, err := decodeOne(t, registry, recorded)
			require.NoError(t, err)
			require.Equal(t, "Åsa Ek", event.(*Signed).Signer)

			current, err := upcastOne(t, registry, recorded)
			require.NoError(t, err)
			require.Equal(t, 3, current.SchemaVersion)
			require.Equal(t, before, string(recorded.Payload), "what was read is not changed")
			event, err = decodeOne(t, registry, current)
			require.NoError(t, err)
			require.Equal(t, "Åsa Ek", event.(*Signed).Signer)
			current.SchemaVersion, current.Payload = recorded.SchemaVersion, recorded.Payload
			require.Equal(t, recorded, current, "all else stays")
		})
	}
	t.Run("are not needed for a newer form of a type that is tolerant", func(t *testing.T) {
		t.Parallel()
		tolerant := newRegistry(t, eventsourced.Type[Deposited]("Deposited", eventsourced.Tolerant(), eventsourced.Formerly("PaidIn")))
		for _, name := range []string{"Deposited", "PaidIn"} {
			recorded := recordedAs(name, 7, `{"Amount":5,"Currency":"SEK"}`)
			event, err := decodeOne(t, tolerant, recorded)
			require.NoError(t, err)
			require.EqualValues(t, 5, event.(*Deposited).Amount)
			current, err := upcastOne(t, tolerant, recorded)
			require.NoError(t, err)
			require.Equal(t, 7, current.SchemaVersion, "it says what it is")
		}
		_, err := decodeOne(t, tolerant, recordedAs("Deposited", 0, `{}`))
		require.ErrorContains(t, err, "schema version below 1")
	})
	t.Run("leave an event alone that is not registered", func(t *testing.T) {
		t.Parallel()
		recorded := recordedAs("Mystery", 9, `"whatever"`)
		current, err := upcastOne(t, registry, recorded)
		require.NoError(t, err)
		require.Equal(t, recorded, current)
	})
	for name, c := range map[string]struct {
		recorded eventsourced.Recorded
		is       error
		says     string
	}{
		"refuse a newer form":                 {recordedAs("Signed", 4, `{}`), eventsourced.ErrUnknownEvent, "written by a newer version of the program"},
		"refuse a form before the first":      {recordedAs("Signed", 0, `{}`), nil, "schema version below 1"},
		"pass their error on, and where from": {recordedAs("Signed", 1, `{}`), errNoName, "upcast from schema 2: it has no name"},
		"are told of what is no JSON":         {recordedAs("Signed", 1, `[`), nil, "upcast from schema 1: unexpected end of JSON input"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, decodeErr := decodeOne(t, registry, c.recorded)
			_, upcastErr := upcastOne(t, registry, c.recorded)
			for _, err := range []error{decodeErr, upcastErr} {
				var decode *eventsourced.DecodeError
				require.ErrorAs(t, err, &decode)
				require.Equal(t, c.recorded, decode.Event, "the event as it was stored")
				require.ErrorContains(t, err, c.says)
				if c.is != nil {
					require.ErrorIs(t, err, c.is)
				}
			}
		})
	}
	t.Run("that return no JSON are noticed", func(t *testing.T) {
		t.Parallel()
		broken := newRegistry(t, eventsourced.Type[Deposited]("Deposited",
			eventsourced.Upcast(1, func(context.Context, eventsourced.Stored) (json.RawMessage, error) { return nil, nil })))
		_, err := decodeOne(t, broken, recordedAs("Deposited", 1, `{}`))
		var syntax *json.SyntaxError
		require.ErrorAs(t, err, &syntax)
	})
	t.Run("give new events the highest schema version", func(t *testing.T) {
		t.Parallel()
		encoded, err := registry.Encode(t.Context(), &Signed{Signer: "Åsa Ek"})
		require.NoError(t, err)
		require.Equal(t, 3, encoded[0].SchemaVersion)
	})
}

func FuzzDecode(f *testing.F) {
	for schemaVersion, payload := range []string{
		`null`, `{"first": "Åsa", "last": "Ek"}`, `{"name": 5}`, `{"signer": null}`, `{}`, `[`, "\x00", `{"signer": "\ud800"}`,
		`{} {"signer": "second"}`, "{}\n", `{}]`, `{"signer": "` + strings.Repeat("long ", 1000) + `"}`,
	} {
		f.Add("Signed", schemaVersion, []byte(payload))
		f.Add("Signed", 3, []byte(payload))
	}
	f.Add("Signed", -1, []byte(nil))
	f.Add("Mystery", 1, []byte(`{}`))
	registry := signed(f)
	f.Fuzz(func(t *testing.T, name string, schemaVersion int, payload []byte) {
		recorded := recordedAs(name, schemaVersion, string(payload))
		event, err := decodeOne(t, registry, recorded)
		if name == "Signed" && schemaVersion == 3 {
			want := &Signed{}
			wantErr := json.Unmarshal(payload, want)
			if wantErr != nil {
				require.EqualError(t, errors.Unwrap(err), wantErr.Error())
			} else {
				require.Equal(t, want.Signer, event.(*Signed).Signer)
			}
		}
		if err != nil {
			var decode *eventsourced.DecodeError
			require.ErrorAs(t, err, &decode)
			require.Equal(t, recorded, decode.Event)
			require.Nil(t, event)
			return
		}
		require.Equal(t, accountID, event.AggregateID())
		require.Equal(t, recorded.Time, event.OccurredAt())
		encoded, err := registry.Encode(t.Context(), event)
		require.NoError(t, err)
		recorded.EventData = encoded[0]
		again, err := decodeOne(t, registry, recorded)
		require.NoError(t, err)
		require.Equal(t, event, again)
	})
}
