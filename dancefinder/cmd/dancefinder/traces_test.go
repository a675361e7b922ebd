package main

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/dancefinder/eventsourcing/operate"
)

// receiver is where spans are sent.
type receiver struct {
	mu       sync.Mutex
	services map[string]bool
	spans    []*trace.Span
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.Reader(request.Body), error(nil)
	if request.Header.Get("Content-Encoding") == "gzip" {
		body, err = gzip.NewReader(body)
	}
	var sent collector.ExportTraceServiceRequest
	if err == nil {
		var text []byte
		if text, err = io.ReadAll(body); err == nil {
			err = proto.Unmarshal(text, &sent)
		}
	}
	if err != nil || request.URL.Path != "/v1/traces" {
		http.Error(w, "not what a collector takes", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range sent.ResourceSpans {
		for _, attribute := range of.Resource.Attributes {
			if attribute.Key == "service.name" {
				r.services[attribute.Value.GetStringValue()] = true
			}
		}
		for _, scope := range of.ScopeSpans {
			r.spans = append(r.spans, scope.Spans...)
		}
	}
}

// of returns the spans of a trace as the name of each and of its parent. A page with events of several traces is linked to each.
func (r *receiver) of(id string) (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	byID := map[string]string{}
	for _, span := range r.spans {
		byID[string(span.SpanId)] = span.Name
	}
	for _, span := range r.spans {
		if hex.EncodeToString(span.TraceId) == id {
			names = append(names, byID[string(span.ParentSpanId)]+" > "+span.Name)
		}
		for _, link := range span.Links {
			if hex.EncodeToString(link.TraceId) == id {
				names = append(names, byID[string(link.SpanId)]+" > "+span.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// What a visitor's request does is one trace, from the header that it came with to the page of the read view.
func TestTraces(t *testing.T) {
	t.Parallel()
	const id = "0af7651916cd43dd8448eb211c80319c"
	spans := &receiver{services: map[string]bool{}}
	server := httptest.NewServer(spans)
	t.Cleanup(server.Close)
	d := newTables(t)
	p := startBuiltWith(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + server.URL, "OTEL_SERVICE_NAME=dances", "OTEL_BSP_SCHEDULE_DELAY=100"},
		d.args([]string{"serve", "--listen", "127.0.0.1:0", "--demo-login"})...)
	s := servedBy(t, p)
	editor := s.login("anna", "catalogue")
	// A relay within a process begins where the log is when it comes.
	require.Eventually(t, func() bool { return strings.Count(d.done("readviews", "status"), "  live ") == 6 }, patience, patience/100)
	s.graphql(`mutation Hall { createDanceHall(input: {name: "Parken", city: "Malung", municipality: "Malung-Sälen", state: "Dalarna"}) { errors { code } } }`,
		append(editor, "traceparent", "00-"+id+"-b7ad6b7169203331-01")...)
	const tail = "append domain.DanceHall"
	want := []string{
		" > POST /graphql",
		"POST /graphql > " + tail,
		tail + " > apply dancehall",
		tail + " > publish dancefinder.events",
		tail + " > react geocoding",
	}
	require.Eventually(t, func() bool { return len(spans.of(id)) >= len(want) }, patience, patience/1000, "%v", showing(func() any { return spans.of(id) }))
	require.Equal(t, want, spans.of(id))
	require.Equal(t, operate.ExitDone, p.stop(), p.err)
	require.NotContains(t, p.err.String(), "traces could not be sent")
	spans.mu.Lock()
	defer spans.mu.Unlock()
	require.Equal(t, map[string]bool{"dances": true}, spans.services)
	for _, span := range spans.spans {
		require.NotContains(t, span.String(), "Malung")
		require.NotContains(t, span.String(), "127.0.0.1")
	}
}

func TestTracesAreWanted(t *testing.T) {
	t.Parallel()
	const here = "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"
	for _, c := range []struct {
		environment string
		want        bool
		problem     string
	}{
		{"", false, ""},
		{here, true, ""},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://collector/v1/traces", true, ""},
		{"OTEL_TRACES_EXPORTER=otlp", true, ""},
		{here + " OTEL_TRACES_EXPORTER=none", false, ""},
		{here + " OTEL_SDK_DISABLED=true", false, ""},
		{here + " OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", true, ""},
		{here + " OTEL_EXPORTER_OTLP_PROTOCOL=grpc", true, `OTEL_EXPORTER_OTLP_PROTOCOL "grpc": want http/protobuf`},
		{"OTEL_TRACES_EXPORTER=jaeger", true, `OTEL_TRACES_EXPORTER "jaeger": want otlp or none`},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4318", true, `"localhost:4318": want the URL of a collector`},
	} {
		environment := map[string]string{}
		for _, setting := range strings.Fields(c.environment) {
			name, value, _ := strings.Cut(setting, "=")
			environment[name] = value
		}
		on, err := tracesWanted(func(name string) string { return environment[name] })
		require.Equal(t, c.want, on, c.environment)
		if c.problem == "" {
			require.NoError(t, err, c.environment)
		} else {
			require.ErrorContains(t, err, c.problem)
		}
	}
}

// showing is said when a test fails, as it is then.
type showing func() any

func (s showing) String() string { return fmt.Sprint(s()) }
