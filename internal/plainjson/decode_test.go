package plainjson_test

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/internal/plainjson"
)

type base struct {
	ID   string    `json:"-"`
	Time time.Time `json:"-"`
}

type kind string

type place struct {
	Name      string  `json:"name"`
	Latitude  float64 `json:"latitude"`
	Longitude float32 `json:"longitude,omitempty"`
}

type everything struct {
	base
	Text    string `json:"text"`
	Kind    kind
	Yes     bool
	Int     int
	Small   int8
	Large   int64
	Count   uint
	Byte    uint8
	Ratio   float64
	Place   place   `json:"place"`
	Other   *place  `json:"other"`
	Places  []place `json:"places"`
	Words   []string
	Numbers []*int
	Rows    [][]float32
	hidden  int
	Left    string `json:"-"`
}

// same decodes a text with encoding/json, and says whether what was decoded from it is the same.
func same(t *testing.T, text []byte, got any) {
	t.Helper()
	want := reflect.New(reflect.TypeOf(got).Elem())
	require.NoError(t, json.Unmarshal(text, want.Interface()), "it is refused by encoding/json: %s", text)
	require.Equal(t, want.Interface(), got, "%s", text)
}

func TestDecode(t *testing.T) {
	t.Parallel()
	n := 7
	full, err := json.Marshal(everything{
		Text: "Ängs\n\"<\\\t", Kind: "dance", Yes: true, Int: -3, Small: math.MinInt8, Large: math.MaxInt64, Count: 9, Byte: 255, Ratio: 1e-9,
		Place: place{"Logen", 60.88664, 15.11793}, Other: &place{Name: "Parken"}, Places: []place{{Name: "a"}, {Name: "b", Latitude: -0.5}},
		Words: []string{"", "två"}, hidden: 1, Numbers: []*int{&n, nil}, Rows: [][]float32{{1, 2.5}, {}, nil},
	})
	require.NoError(t, err)
	plainly := bytes.ReplaceAll(full, []byte(`\u003c`), []byte(`<`))
	for _, text := range []string{
		string(plainly), `{}`, ` { } `, `null`, "\n{\t\"Int\" : 1 ,\r\n\"Yes\":false }\n", `{"Int":-0,"Ratio":-0,"Large":-9223372036854775808}`,
		`{"Yes":null,"Int":null,"Count":null,"Ratio":null,"text":null,"place":null,"other":null,"places":null,"Words":[null]}`,
		`{"Words":[],"places":[{}],"other":{}}`, `{"text":"\\\/\b\f\n\r\t\""}`, `{"place":{"latitude":0.1e+2,"longitude":1E2}}`, `{"Kind":"a","text":"b"}`,
	} {
		var got everything
		require.True(t, plainjson.Decode([]byte(text), &got), text)
		same(t, []byte(text), &got)
	}
}

func TestDecodeLeavesTheRest(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, ` `, `{`, `}`, `{}x`, `{} {}`, `[]`, `1`, `""`, `true`, `nul`, `{"Int":1,}`, `{"Int" 1}`, `{Int:1}`, `{"Int":1 "Yes":true}`, `{"":1}`,
		`{"Int":1.0}`, `{"Int":1e2}`, `{"Int":01}`, `{"Int":-}`, `{"Int":+1}`, `{"Int":"1"}`, `{"Small":128}`, `{"Byte":256}`, `{"Count":-1}`, `{"Int":9223372036854775808}`,
		`{"Ratio":1e999}`, `{"Ratio":.5}`, `{"Ratio":1.}`, `{"Ratio":1e}`, `{"Ratio":NaN}`, `{"place":{"longitude":1e39}}`,
		`{"Yes":tru}`, `{"Yes":1}`, `{"text":"\u00e5"}`, `{"text":"\x"}`, "{\"text\":\"a\nb\"}", "{\"text\":\"\xff\"}", `{"text":"a}`, `{"text":"a\`, `{"text":'a'}`, `{"te\u0078t":"a"}`,
		`{"TEXT":"another case"}`, `{"int":1}`, `{"unknown":1}`, `{"hidden":1}`, `{"Left":"a"}`, `{"ID":"a"}`, `{"-":1}`,
		`{"Int":1,"Int":2}`, `{"places":[{}],"places":[{}]}`, `{"Words":[1]}`, `{"Words":["a",]}`, `{"Words":["a"`, `{"Words":{}}`, `{"place":[]}`,
	} {
		require.False(t, plainjson.Decode([]byte(text), &everything{}), text)
	}
	for _, to := range []any{
		&struct{ At time.Time }{}, &struct{ Map map[string]int }{}, &struct{ Any any }{}, &struct{ Array [2]int }{}, &struct{ Bytes []byte }{}, &struct{ Raw json.RawMessage }{},
		&struct{ Number json.Number }{}, &struct{ place }{}, &struct{ *place }{}, &struct {
			Quoted int `json:",string"`
		}{}, &struct {
			A int `json:"B"`
			B int
		}{}, &struct {
			Odd int `json:"odd name"`
		}{}, &list{}, new(string), new(int), new([]string), everything{}, (*everything)(nil), nil,
	} {
		require.False(t, plainjson.Decode([]byte(`{}`), to), "%T", to)
	}
}

type list struct{ Next *list }

// What is decoded is what encoding/json makes of it.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		`{"text":"a\n","Kind":"b","Yes":true,"Int":-3,"Small":1,"Large":2,"Count":9,"Byte":255,"Ratio":1e-9,"place":{"name":"c","latitude":1.5},"other":null}`,
		`{"places":[{"name":"Ängs"},{}],"Words":["",null],"Numbers":[1,null],"Rows":[[1,2.5],[],null]}`, ` {"Int" : 1} `, `null`, `{"Int":1,"Int":2}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got everything
		if plainjson.Decode(text, &got) {
			same(t, text, &got)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	text := []byte(`{"text":"Bengt Hennings","Kind":"dance","Yes":true,"Int":12,"place":{"name":"Furuparken","latitude":60.6,"longitude":15.6},"Words":["foxtrot","bugg"]}`)
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			require.True(b, plainjson.Decode(text, &everything{}))
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			require.NoError(b, json.Unmarshal(text, &everything{}))
		}
	})
}
