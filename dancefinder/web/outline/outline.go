// Package outline draws Sweden: the projection of the page's map, in which
// static/land.svg has the counties and the land around them.
//
// It is the transverse Mercator projection of a sphere around the meridian that
// runs through the middle of the country. Everywhere in it a kilometre is as long as
// anywhere else, to half a percent, so that a circle is what is equally far away.
package outline

import "math"

// PerKm is how many units of the map a kilometre has.
const PerKm = 2

const (
	radius   = 6371.0088 // km, as in the queries
	meridian = 16.5
	top      = 69.9 // the latitude at which y is 0 on the meridian
	left     = 640  // km from the meridian to where x is 0
)

// Project returns where a place is on the map: x to the east, y to the south.
func Project(latitude, longitude float64) (x, y float64) {
	phi, lambda := latitude*math.Pi/180, (longitude-meridian)*math.Pi/180
	b := math.Cos(phi) * math.Sin(lambda)
	east := radius * math.Atanh(b)
	north := radius * math.Atan2(math.Tan(phi), math.Cos(lambda))
	return (left + east) * PerKm, (radius*top*math.Pi/180 - north) * PerKm
}
