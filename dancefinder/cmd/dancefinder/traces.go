package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/dancefinder/eventsourcing/operate"
)

// flushTimeout is how long what is not sent yet of the traces may hold up the end of a program.
const flushTimeout = 3 * time.Second

// openTraces returns where spans go, as OpenTelemetry's environment says; nil is nowhere. What is not read here, such
// as the sampler, the endpoint's headers and the limits, the SDK and the exporter read.
func openTraces(ctx context.Context, logger *slog.Logger) (*sdk.TracerProvider, error) {
	on, err := tracesWanted(os.Getenv)
	if err != nil {
		return nil, operate.UsageError{Err: err}
	}
	if !on {
		return nil, nil
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcessPID(),
		resource.WithAttributes(attribute.String("service.name", "dancefinder"), attribute.String("service.version", version())), resource.WithFromEnv())
	if err != nil {
		return nil, operate.UsageError{Err: fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)}
	}
	exporter, err := otlptracehttp.New(ctx) // it connects when there is something to send
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("traces could not be sent", "error", err) }))
	return sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about)), nil
}

// tracesWanted tells whether the environment asks for traces. The error names every variable that asks for what there is not.
func tracesWanted(getenv func(string) string) (bool, error) {
	endpoint := func(name string) (bool, error) {
		value := getenv(name)
		if value == "" {
			return false, nil
		}
		if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return true, fmt.Errorf("%s %q: want the URL of a collector, such as http://localhost:4318", name, value)
		}
		return true, nil
	}
	all, wrongAll := endpoint("OTEL_EXPORTER_OTLP_ENDPOINT")
	own, wrongOwn := endpoint("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	problems := []error{wrongAll, wrongOwn}
	on := all || own
	switch exporter := getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "":
	case "none":
		on = false
	case "otlp":
		on = true
	default:
		problems = append(problems, fmt.Errorf("OTEL_TRACES_EXPORTER %q: want otlp or none", exporter))
		on = true
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"} {
		if protocol := getenv(name); protocol != "" && protocol != "http/protobuf" {
			problems = append(problems, fmt.Errorf("%s %q: want http/protobuf, which collectors take at port 4318", name, protocol))
		}
	}
	if !on || strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	return true, errors.Join(problems...)
}

// closeTraces sends what is left.
func (a *app) closeTraces() {
	if a.traces == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := a.traces.Shutdown(ctx); err != nil {
		a.logger.Warn("the last traces could not be sent", "error", err)
	}
}
