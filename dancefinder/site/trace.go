package site

import (
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traced gives each request a span, which goes on with the trace that its headers name. It tells the route, not the
// path, and nothing of who asks: paths, addresses and headers may be personal data.
func traced(provider trace.TracerProvider, next http.Handler) http.Handler {
	tracer := provider.Tracer("github.com/dancefinder/eventsourcing/dancefinder/site")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, "HTTP", trace.WithSpanKind(trace.SpanKindServer))
		r = r.WithContext(ctx)
		answer := &statusWriter{ResponseWriter: w, status: http.StatusInternalServerError} // of a panic
		defer func() {
			// Now it has a pattern. A method of the client's choice would make names without number.
			method, route, found := strings.Cut(r.Pattern, " ")
			if !found {
				method, route = knownMethod(r.Method), r.Pattern
			}
			span.SetName(strings.TrimSpace(method + " " + route))
			span.SetAttributes(attribute.String("http.request.method", method), attribute.String("http.route", route),
				attribute.Int("http.response.status_code", answer.status))
			if answer.status >= http.StatusInternalServerError {
				span.SetStatus(codes.Error, "")
			}
			span.End()
		}()
		next.ServeHTTP(answer, r)
		answer.write(http.StatusOK)
	})
}

func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "_OTHER"
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status  int
	written bool
}

// Unwrap is for [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) write(status int) {
	if !w.written {
		w.status, w.written = status, true
	}
}

func (w *statusWriter) WriteHeader(status int) {
	w.write(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	w.write(http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// Flush implements [http.Flusher], which streams ask for.
func (w *statusWriter) Flush() {
	w.write(http.StatusOK)
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}
