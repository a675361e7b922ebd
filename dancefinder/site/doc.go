// Package site puts DanceFinder's page, GraphQL, login and health behind one address,
// and keeps what comes from outside within limits:
//
//	request ─▶ limits (number, body, time) ─▶ cross-site protection ─▶ who is asking ─▶ /         the page
//	                                                                                ├─▶ /graphql  GraphQL
//	                                                                                ├─▶ /admin/   for operators
//	                                                                                └─▶ /login ...
//	        ─▶ /healthz, /readyz, without any of these
//
// A stream (server-sent events) is a request without an end: it does not count to the
// requests at a time, as whoever sends it has limits of its own, and what is written to
// it has to be taken within [Config.WriteTimeout] each time.
package site
