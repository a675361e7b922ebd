// Package need finds dependencies that are not there, and names that can't be, for constructors.
package need

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Nil tells that a dependency is not there: nil, or an interface that holds a nil pointer.
func Nil(dependency any) bool {
	value := reflect.ValueOf(dependency)
	return !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil()
}

// Log finds what would be a nil pointer later, in the arguments of constructor.
func Log(constructor string, log eventsourced.Log) []error {
	switch {
	case Nil(log):
		return []error{fmt.Errorf("%s: the log is nil", constructor)}
	case log.Registry() == nil:
		return []error{fmt.Errorf("%s: the log has no registry", constructor)}
	}
	return nil
}

// Name finds what is wrong with the name of something that has a position in the database. field says
// whose it is.
func Name(field, name string) error {
	switch {
	case strings.TrimSpace(name) == "" || len(name) > eventsourced.MaxName:
		return fmt.Errorf("%s needs 1 to %d bytes", field, eventsourced.MaxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%s has a control character or is not UTF-8: %q", field, name)
	}
	return nil
}
