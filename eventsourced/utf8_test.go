package eventsourced_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

type (
	text  struct{ s string }
	Texts struct {
		eventsourced.BaseEvent
		Text    string
		List    []*string                  `json:",omitempty"`
		ByKey   map[string]string          `json:",omitempty"`
		Structs map[int]struct{ S string } `json:",omitempty"`
		Any     any
		Raw     json.RawMessage `json:",omitempty"`
		Own     text
		Bytes   []byte
	}
)

func (t text) MarshalText() ([]byte, error)  { return []byte(t.s), nil }
func (t *text) UnmarshalText(b []byte) error { t.s = string(b); return nil }

func TestEncodeRefusesWhatIsNotUTF8(t *testing.T) {
	t.Parallel()
	registry := newRegistry(t, eventsourced.Type[Texts]("Texts"))
	bad := "a\xffb"
	for name, event := range map[string]*Texts{
		"in a string":              {Text: bad},
		"in a list":                {List: []*string{nil, &bad}},
		"in a key":                 {ByKey: map[string]string{bad: ""}},
		"in a map":                 {ByKey: map[string]string{"a": bad}},
		"in a struct":              {Structs: map[int]struct{ S string }{1: {bad}}},
		"in any":                   {Any: []any{map[string]any{"a": bad}}},
		"in JSON":                  {Raw: json.RawMessage(`"` + bad + `"`)},
		"in what encodes itself":   {Own: text{bad}},
		"half of a surrogate pair": {Text: "\xed\xa0\x80"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := registry.Encode(t.Context(), event)
			require.ErrorIs(t, err, eventsourced.ErrInvalid)
			require.ErrorContains(t, err, "encode Texts: ")
		})
	}
	for name, event := range map[string]*Texts{
		"the replacement itself":     {Text: "\ufffd", ByKey: map[string]string{"\ufffd": "ö"}},
		"what looks like its escape": {Text: `\ufffd`, Own: text{`\ufffd`}, Any: `\ufffd`},
		"an escape in JSON":          {Raw: json.RawMessage(`"\ufffd"`)},
		"bytes, whatever they are":   {Text: `\ufffd`, Bytes: []byte(bad)},
	} {
		t.Run("and takes "+name, func(t *testing.T) {
			t.Parallel()
			encoded, err := registry.Encode(t.Context(), event)
			require.NoError(t, err)
			decoded, err := decodeOne(t, registry, recordedAs("Texts", 1, string(encoded[0].Payload)))
			require.NoError(t, err)
			eventsourced.SetBase(decoded, eventsourced.BaseEvent{})
			require.Equal(t, event, decoded)
		})
	}
}
