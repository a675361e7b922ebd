// Package query answers the questions of those who look for dances, from the read
// views alone: which dances there are in a period, near some places and without
// what a user ignores, how they are spread over days, areas and bands, and what a
// user prefers. The page and GraphQL ask here.
//
// The read views have no foreign keys between them, and each is filled by a
// projection of its own: a dance whose band or hall is not there (yet) is found all
// the same, and whoever shows it says "unknown".
package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/internal/need"
)

// Limits of what can be asked.
const (
	MaxFirst  = 200 // entries of a page of a list
	MaxDays   = 366 // of a period
	MaxValues = 200 // of each list in a [Filter]
	MaxIDs    = 1000
	MaxSearch = 100 // characters
)

// ErrInvalid is returned for a question that can't be answered; the error says what
// is wrong with it, in words for whoever asked, and [Problem] names the field.
var ErrInvalid = errors.New("the question is not valid")

// Problem is an [ErrInvalid] about one field of the question.
type Problem struct {
	Field   string // as in Filter, with a small letter: "from", "maxKm"; or "first", "after"
	Message string
}

// Error returns the field and the message.
func (p *Problem) Error() string { return p.Field + ": " + p.Message }

// Is tells that this is an [ErrInvalid].
func (p *Problem) Is(target error) bool { return target == ErrInvalid }

func invalid(field, format string, args ...any) error {
	return &Problem{Field: field, Message: fmt.Sprintf(format, args...)}
}

// Reader asks one database. It is safe for concurrent use. Each question is one
// statement, unless its method says otherwise; the context's deadline ends it.
type Reader struct {
	db interface {
		Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	}
}

// New returns a reader of the database that pool reaches. It panics without one.
func New(pool *pgxpool.Pool) *Reader {
	need.All("query.New", map[string]any{"pool": pool})
	return &Reader{db: pool}
}

// Snapshot asks several questions of one state of the database. The reader that it
// hands out is for one goroutine and must not be used once ask has returned.
func Snapshot(ctx context.Context, pool *pgxpool.Pool, ask func(*Reader) error) error {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, pool, options, func(tx pgx.Tx) error { return ask(&Reader{db: tx}) })
}

// Point is a place that distances are measured from.
type Point struct {
	Name string
	At   domain.Coordinate
}

// Filter says which dances are meant. From and To are required; everything else
// narrows the choice, and what is zero does not.
type Filter struct {
	From, To domain.Date // both included, at most MaxDays

	// Near are places to measure from. With Origins, the places of the subject's
	// preferences are meant as well, or those among them that OriginNames lists.
	Near        []Point
	Origins     bool
	OriginNames []string

	// MaxKm leaves out what is further away from all of these places, and halls
	// nobody has found on the map unless Unlocated is set. It means nothing when
	// there is no place to measure from.
	MaxKm     float64
	Unlocated bool

	// Subject is the user whose ignores count; nobody's do when it is empty. With
	// Ignored, dances that they hide are listed, too, and say what hides them.
	Subject string
	Ignored bool

	BandIDs      []string
	DanceHallIDs []string

	// Areas: a dance is meant when it is in one of the states, municipalities or
	// cities, whichever of the three it is named by.
	States         []string
	Municipalities []Area // their State may be empty: in any
	Cities         []Area // the same

	Search string // in the names of band, hall and city, whatever their case
}

// Area names a municipality, or a city when City is set. What is empty is not looked at.
type Area struct{ State, Municipality, City string }

// Sort is an order of dances.
type Sort string

// The orders. Within them dances have one order, so that pages are exact.
const (
	ByDate     Sort = "DATE"     // then start, distance
	ByDistance Sort = "DISTANCE" // then date, start; what has no distance comes last
)

// Event is a dance.
type Event struct {
	ID          string
	Date        domain.Date
	Times       domain.TimeRange // what is not known is empty
	Extra       string
	BandID      string // there need not be such a band, see BandsByID
	DanceHallID string // the same
	Created     time.Time
	Updated     time.Time

	Km     *float64 // to the nearest place of the filter; nil when that is not known
	Near   string   // which place that is
	Hidden Kind     // what the subject ignores of it, "" when nothing
}

// Cancelled tells whether the dance is announced as cancelled.
func (e Event) Cancelled() bool { return domain.Cancelled(e.Extra) }

// Kind is what can be ignored.
type Kind string

// The five kinds.
const (
	KindBand         Kind = "BAND"
	KindDanceHall    Kind = "DANCE_HALL"
	KindCity         Kind = "CITY"
	KindMunicipality Kind = "MUNICIPALITY"
	KindState        Kind = "STATE"
)

// Band is a band.
type Band struct {
	ID      string
	Name    string
	Created time.Time
}

// DanceHall is a place where dances are.
type DanceHall struct {
	ID         string
	Name       string
	Place      domain.Place
	Coordinate *domain.Coordinate // nil as long as nobody has found it
	Created    time.Time
}

// Page is a part of a list.
type Page[T any] struct {
	Items   []T
	Cursors []string // of each item, to go on after it
	More    bool     // whether something comes after the last one
	Total   *int     // of all pages; nil where it was not counted
}

// Summary says how the dances of a filter are spread. Hidden ones count in Hidden
// and nowhere else.
type Summary struct {
	Total  int
	Hidden map[Kind]int // those that the subject ignores, by what hides them first
	Days   []DayCount   // in order; days without a dance are left out

	// Halls are those with dances that match all of the filter, and those that would
	// if it named no area; Bands the same for its bands. Both: most dances first, then
	// by name.
	Halls []HallCount
	Bands []BandCount
}

// DayCount is how many dances there are on a day.
type DayCount struct {
	Date  domain.Date
	Count int
}

// HallCount is how many dances there are at a hall. A hall that is not known has an
// empty name and place.
type HallCount struct {
	ID         string
	Name       string
	Place      domain.Place
	Coordinate *domain.Coordinate
	Km         *float64
	Near       string
	Count      int // that match
	AnyArea    int // that would match if the filter named no area
}

// BandCount is how many dances a band plays. One that is not known has no name.
type BandCount struct {
	ID      string
	Name    string
	Count   int // that match
	AnyBand int // that would match if the filter named no band
}

// Preferences are what a user has chosen, each list by name.
type Preferences struct {
	Origins        []Origin
	Bands          []Named // one without a name is not known at the moment
	DanceHalls     []Named
	Cities         []string
	Municipalities []string
	States         []string
}

// Origin is a place that a user starts from.
type Origin struct {
	Name string
	At   *domain.Coordinate // nil when nobody knows where it is
}

// Named is an id and what it is called.
type Named struct{ ID, Name string }
