// Package need finds dependencies that are not there, for constructors.
package need

import (
	"fmt"
	"reflect"

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
