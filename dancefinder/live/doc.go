// Package live tells those who look at the catalogue when something in it has
// changed. A [Hub] follows the log in this process, waits until the read views show
// what happened, and then tells everybody who has subscribed. Whoever is told can
// ask the read views at once and gets what is new.
//
// Nothing here has a buffer without a bound. What has not been read from the log yet
// waits in the log; a subscriber that does not keep up with a few hundred changes is
// cut off, see [ErrSlow], and asks anew. A subscriber that comes later is not told
// what happened before: subscribe first, then ask.
package live
