// Package need refuses what constructors can't do without.
package need

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// All panics with everything that is wrong: dependencies, by their names, that are nil or hold a nil pointer, and problems.
func All(constructor string, dependencies map[string]any, problems ...error) {
	if err := errors.Join(append(Missing(dependencies), problems...)...); err != nil {
		panic(fmt.Sprintf("%s: %v", constructor, err))
	}
}

// Missing returns an error for each dependency that is nil, or holds a nil pointer.
func Missing(dependencies map[string]any) (problems []error) {
	for _, name := range slices.Sorted(maps.Keys(dependencies)) {
		value := reflect.ValueOf(dependencies[name])
		if !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil() {
			problems = append(problems, errors.New("no "+name))
		}
	}
	return problems
}
