// Package model has the types of the GraphQL schema that are more than their fields:
// what they don't have themselves they ask for, once for all that are in an answer
// together.
package model

import (
	"fmt"
	"io"
	"strconv"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

// InputError is a value that can't be understood.
type InputError struct{ Field, Message string }

// Error returns the message.
func (e *InputError) Error() string { return e.Message }

// Date is the scalar of that name.
type Date domain.Date

// MarshalGQL writes the date as a string.
func (d Date) MarshalGQL(w io.Writer) { _, _ = io.WriteString(w, strconv.Quote(string(d))) }

// UnmarshalGQL takes what [domain.ParseDate] does.
func (d *Date) UnmarshalGQL(v any) error {
	text, _ := v.(string)
	date, err := domain.ParseDate(text)
	*d = Date(date)
	return input(v, err)
}

// LocalTime is the scalar of that name.
type LocalTime domain.Clock

// MarshalGQL writes the time as a string.
func (t LocalTime) MarshalGQL(w io.Writer) { _, _ = io.WriteString(w, strconv.Quote(string(t))) }

// UnmarshalGQL takes what [domain.ParseClock] does.
func (t *LocalTime) UnmarshalGQL(v any) error {
	text, _ := v.(string)
	clock, err := domain.ParseClock(text)
	*t = LocalTime(clock)
	return input(v, err)
}

func input(v any, err error) error {
	if err == nil {
		return nil
	}
	if _, isText := v.(string); !isText {
		return &InputError{Message: fmt.Sprintf("a %T is not a string", v)}
	}
	if refusal, ok := err.(*domain.Error); ok {
		return &InputError{Message: refusal.Message}
	}
	return &InputError{Message: err.Error()}
}
