package domain

import "fmt"

// Error is a domain rule that refuses a command. Nothing was stored. Refusals of
// one code are the same error to errors.Is, whatever their field and message:
//
//	errors.Is(err, domain.ErrInvalid)
type Error struct {
	Code    string // for programs, such as "BAND_NOT_FOUND"; never changes
	Field   string // the input it is about, such as "bandId"; may be empty
	Message string // for people
}

// Error returns the message, after the field when there is one.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// Is tells whether target is a refusal with the same code.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Code == e.Code
}

// What can be refused. All are of type [*Error].
var (
	// ErrInvalid refuses a value that breaks the rules of its kind. The error that
	// is returned names the field and the rule.
	ErrInvalid error = &Error{Code: "INVALID", Message: "the value is not valid"}

	// ErrBandNotFound refuses a reference to a band that was never created.
	ErrBandNotFound error = &Error{Code: "BAND_NOT_FOUND", Field: "bandId", Message: "there is no such band"}

	// ErrBandExists refuses a name that is another band's, or was.
	ErrBandExists error = &Error{Code: "BAND_EXISTS", Field: "name", Message: "the name is another band's"}

	// ErrDanceHallExists refuses a name and place that are another hall's, or were.
	ErrDanceHallExists error = &Error{Code: "DANCE_HALL_EXISTS", Field: "name", Message: "the name is another dance hall's at this place"}

	// ErrDanceHallNotFound refuses a reference to, or a change of, a dance hall
	// that was never created.
	ErrDanceHallNotFound error = &Error{Code: "DANCE_HALL_NOT_FOUND", Field: "danceHallId", Message: "there is no such dance hall"}

	// ErrGeocodeOutranked refuses to replace a coordinate by one from a source that
	// ranks lower, see [GeocodeSource].
	ErrGeocodeOutranked error = &Error{Code: "GEOCODE_OUTRANKED", Field: "source", Message: "the dance hall has a coordinate from a better source"}

	// ErrEventNotFound refuses to change a dance event that was never created.
	ErrEventNotFound error = &Error{Code: "EVENT_NOT_FOUND", Field: "eventId", Message: "there is no such dance event"}

	// ErrEventExists refuses to create a dance event whose id is taken by one with
	// other details.
	ErrEventExists error = &Error{Code: "EVENT_EXISTS", Field: "eventId", Message: "the dance event exists already, with other details"}

	// ErrEventDeleted refuses everything but a repeated deletion: a deleted dance
	// event does not come back.
	ErrEventDeleted error = &Error{Code: "EVENT_DELETED", Field: "eventId", Message: "the dance event was deleted"}

	// ErrEventChanged refuses an update that was made for another version of the
	// dance event, see [UpdateEvent].
	ErrEventChanged error = &Error{Code: "EVENT_CHANGED", Field: "expectedVersion", Message: "the dance event was changed by somebody else"}

	// ErrTooManyOrigins refuses an origin beyond [MaxOrigins].
	ErrTooManyOrigins error = &Error{Code: "TOO_MANY_ORIGINS", Field: "origin", Message: fmt.Sprintf("at most %d origins", MaxOrigins)}

	// ErrTooManyIgnores refuses something to ignore beyond [MaxIgnores].
	ErrTooManyIgnores error = &Error{Code: "TOO_MANY_IGNORES", Message: fmt.Sprintf("at most %d ignored of one kind", MaxIgnores)}
)

// invalid returns an [ErrInvalid] about one field.
func invalid(field, format string, args ...any) error {
	return &Error{Code: "INVALID", Field: field, Message: fmt.Sprintf(format, args...)}
}
