package eventsourced_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

type (
	shape interface{ Area() float64 }
	inner struct{ Exported int }
	// Node refers to itself.
	Node struct {
		Name     string
		Children []*Node
		ByName   map[string]Node
	}
	halfJSON struct{ X int }
	halfText int
	// onPointer has its encoding on the pointer, as a value in a map has not.
	onPointer struct{ x int }
	celsius   struct{ degrees int }
	common    struct {
		eventsourced.BaseEvent
		Tenant string
	}
	Common struct {
		eventsourced.BaseEvent
		Tenant string
	}
	// color is written as it is where it is a key.
	color  string
	Secret struct {
		Seen   string
		hidden string
	}
)

func (halfJSON) MarshalJSON() ([]byte, error)      { return []byte("1"), nil }
func (*halfText) UnmarshalText([]byte) error       { return nil }
func (p *onPointer) MarshalJSON() ([]byte, error)  { return json.Marshal(p.x) }
func (p *onPointer) UnmarshalJSON(in []byte) error { return json.Unmarshal(in, &p.x) }
func (c celsius) MarshalText() ([]byte, error)     { return json.Marshal(c.degrees) }
func (c *celsius) UnmarshalText(text []byte) error { return json.Unmarshal(text, &c.degrees) }
func (c color) MarshalText() ([]byte, error)       { return []byte("#" + string(c)), nil }
func (c *color) UnmarshalText(text []byte) error   { *c = color(text[1:]); return nil }
func (s Secret) String() string                    { return s.hidden }

type (
	Fine struct {
		common
		inner
		Time     time.Time
		Duration time.Duration
		Raw      json.RawMessage
		Big      *big.Int
		Address  netip.Addr
		ID       eventsourced.EventID
		Bytes    []byte
		Array    [3]inner
		Any      any
		Anything []map[string]any
		Tree     *Node
		Pointer  *onPointer
		List     []onPointer
		Degrees  map[celsius]celsius
		ByKey    map[string]*struct{ On onPointer }
		Color    color
		Numbers  map[int8]string
		Named    string `json:"other,omitempty"`
	}
	Bad struct {
		eventsourced.BaseEvent
		Shape   shape
		Err     error
		Func    func()
		Chan    chan int
		Complex complex128
		hidden  int
		Omitted int `json:"-"`
		URL     url.URL
		Secret  Secret
		HalfOut halfJSON
		HalfIn  []halfText
		InMap   map[string]onPointer
		Priced  map[string]struct{ By [1]onPointer }
		Colors  map[color]int
		Keys    map[bool]int
		KeysToo map[inner]int
		Same    int
		Other   int `json:"Same"`
		Deep    struct {
			In []struct{ Of map[string][]shape }
		}
		Nested Deposited
		*inner
	}
	Timed struct {
		eventsourced.BaseEvent
		time.Time
		Name string
	}
	OnPointer struct {
		*eventsourced.BaseEvent
		Name string
	}
	Indirect struct {
		*Common
		Name string
	}
	Shadowed struct {
		eventsourced.BaseEvent
		inner
		Exported string
	}
)

func TestTypesThatDoNotComeBack(t *testing.T) {
	t.Parallel()
	_ = Bad{}.hidden
	registry, err := eventsourced.NewRegistry(
		eventsourced.Type[Fine]("Fine"),
		eventsourced.Type[Bad]("Bad"),
		eventsourced.Type[Timed]("Timed"),
		eventsourced.Type[OnPointer]("OnPointer"),
		eventsourced.Type[Indirect]("Indirect"),
		eventsourced.Type[Shadowed]("Shadowed"),
		nil,
	)
	require.Nil(t, registry)
	for _, problem := range []string{
		`event "Bad": Bad.Shape is of the interface type eventsourced_test.shape: what it holds can't be made again (or register it as eventsourced.Unchecked)`,
		`event "Bad": Bad.Err is of the interface type error`,
		"Bad.Func is of type func(), which JSON does not have",
		"Bad.Chan is of type chan int",
		"Bad.Complex is of type complex128",
		"Bad.hidden is not exported: it is lost",
		`Bad.Omitted has the tag json:"-": it is lost`,
		"Bad.URL.User.username is not exported",
		"Bad.Secret.hidden is not exported",
		"Bad.HalfOut is of type eventsourced_test.halfJSON, which has MarshalJSON and not UnmarshalJSON",
		"Bad.HalfIn[] is of type eventsourced_test.halfText, which has UnmarshalText and not MarshalText",
		"Bad.InMap[] is of type eventsourced_test.onPointer in a map, where only *eventsourced_test.onPointer has a MarshalJSON",
		"Bad.Priced[].By[] is of type eventsourced_test.onPointer in a map, where only *eventsourced_test.onPointer has a MarshalJSON",
		"Bad.Colors has keys of type eventsourced_test.color, which JSON can't give back",
		"Bad.Keys has keys of type bool, which JSON can't give back",
		"Bad.KeysToo has keys of type eventsourced_test.inner",
		`Bad.Other has the JSON name "Same", as Bad.Same has`,
		"Bad.Deep.In[].Of[][] is of the interface type eventsourced_test.shape",
		"Bad.Nested.BaseEvent is the base of an event in another one: its id and time are lost",
		"Bad.inner is an embedded pointer to an unexported type: it can't be set",
		`event "Timed": Timed embeds time.Time, whose MarshalJSON is that of the whole`,
		`event "OnPointer": OnPointer.BaseEvent is a pointer: embed BaseEvent itself`,
		`event "Indirect": Indirect.Common.BaseEvent is in an embedded pointer, which is nil in a new event: embed the struct itself`,
		`event "Shadowed": Shadowed.Exported has the JSON name "Exported", as Shadowed.inner.Exported has`,
		"option 6 is nil",
	} {
		require.ErrorContains(t, err, problem)
	}
	require.NotContains(t, err.Error(), "Fine")
	newRegistry(t, eventsourced.Type[Bad]("Bad", eventsourced.Unchecked()), eventsourced.Type[Timed]("Timed", eventsourced.Unchecked()))
}

func TestFineTypesComeBack(t *testing.T) {
	t.Parallel()
	registry := newRegistry(t, eventsourced.Type[Fine]("Fine"))
	address, err := netip.ParseAddr("10.0.0.1")
	require.NoError(t, err)
	event := &Fine{
		common: common{Tenant: "t"}, inner: inner{1},
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Duration: time.Hour, Raw: json.RawMessage(`{"a":1}`),
		Big: big.NewInt(1).Lsh(big.NewInt(1), 100), Address: address, ID: eventsourced.NewEventID(), Bytes: []byte{0, 255},
		Array: [3]inner{{1}, {2}, {3}}, Any: map[string]any{"n": json.Number("9007199254740993")}, Anything: []map[string]any{{"s": "x", "b": true, "l": []any{nil}}},
		Tree:    &Node{Name: "root", Children: []*Node{{Name: "leaf"}}, ByName: map[string]Node{"x": {Name: "x"}}},
		Pointer: &onPointer{1}, List: []onPointer{{2}}, Degrees: map[celsius]celsius{{1}: {2}}, ByKey: map[string]*struct{ On onPointer }{"a": {onPointer{3}}}, Color: "red", Numbers: map[int8]string{-1: "x"}, Named: "n",
	}
	encoded, err := registry.Encode(t.Context(), event)
	require.NoError(t, err)
	for _, payload := range [][]byte{encoded[0].Payload, append(encoded[0].Payload, '\n', ' ')} {
		recorded := recordedAs("Fine", 1, string(payload))
		decoded, err := decodeOne(t, registry, recorded)
		require.NoError(t, err)
		eventsourced.SetBase(decoded, eventsourced.BaseEvent{})
		require.Equal(t, event, decoded)
	}
	_, err = decodeOne(t, registry, recordedAs("Fine", 1, `{"Any": 1} {}`))
	var syntax *json.SyntaxError
	require.True(t, errors.As(err, &syntax), "%v", err)
}
