// Package geocoding finds dance halls on the map: from a DanceHallCreated, or a
// DanceHallUpdated, it makes a DanceHallGeocoded, with the help of a [Geocoder].
//
// # How a hall gets its coordinate
//
//	log ──▶ DanceHallCreated ──▶ Worker.Enqueue ──▶ geocoding_job
//	                                                     │ claim: one statement
//	                                                     ▼
//	                                    Worker.Run ──▶ Geocoder ──▶ provider
//	                                         │    outside any transaction
//	                                         ▼
//	log ◀── DanceHallGeocoded ◀── domain.Service ──▶ job: done
//
// Enqueue only writes a row, so whoever reads the log is never held up by a
// provider. The hall's place is taken from the event and not from a read view,
// which may be behind or just being rebuilt. Nothing here is a read view: a reset
// of one calls no provider, as the coordinates are in the log.
//
// A job's states:
//
//	            ┌──────────── later, or when its worker died
//	            ▼       │
//	Enqueue ▶ pending ──┴──▶ done       the hall has a coordinate, this or a better one
//	            ▲       ├──▶ not_found  the provider knows no such place
//	            │       └──▶ failed     refused, or too many attempts
//	            └─ Retry ─ not_found, failed
//
// # What happens when something fails
//
//	a process ends in order         its jobs are given back at once
//	a process dies, at any point    another worker takes the job over when the claim
//	                                ends; the call is repeated at most, and a command
//	                                that was carried out is not again
//	a process stands still and      its command is a repetition too, and it can no
//	goes on after its claim ended   longer change the job
//	an event is delivered twice     the hall has its job already
//	the provider is slow            others go on; after WorkerConfig.Timeout it counts
//	                                as a failure
//	the provider fails              another attempt after a growing delay
//	the provider wants a pause      no node asks it before, and it is no attempt
//	the database fails              the worker tries again until it is back
package geocoding
