// Package graph serves DanceFinder by GraphQL, over HTTP. The schema is in schema/*.graphqls,
// with a description of everything; gqlgen makes internal/exec and internal/model of it.
//
//	request ── limits of size and time, method, content type      server.go
//	        ── persisted document, limits of the document          documents.go, limits.go
//	        ── token: wait until the read views show the write     consistency.go
//	        ── query: package query   mutation: domain.Service     queries.go, preferences.go, catalogue.go
//	        ── answer, or server-sent events of package live       subscription.go, stream.go
//
// # Questions
//
// They are answered from the read views alone. What an answer holds many of is asked for
// together: a page of dances with their bands and halls is three SQL statements, however
// many dances there are and whether they are reached by nodes or by edges.
//
// # Commands
//
// A refusal by the domain is data, in "errors" of the payload. That nobody is logged in,
// or that a role is missing, is an error, see the codes below; so is a fault, of which the
// answer has a request id and the log has the rest.
//
// # Reading one's own writes
//
// A mutation answers a token, in the payload, in extensions.consistency and in the header
// Consistency-Token. A query that carries it, by that header or by
// {"consistency": {"token": "..."}} in the request's extensions, waits for the projections
// that it reads, and extensions.consistency says whether that was enough. With the header
// "Consistency: strict", or "strict": true there, it fails instead of being stale.
//
// # Documents
//
// The documents in documents/ can be asked for by their hash alone, as in Apollo's
// persisted queries: {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "..."}}}.
// With [Config.TrustedDocuments] nothing else is answered.
package graph

//go:generate go tool gqlgen generate
//go:generate go run ./internal/snapshot
