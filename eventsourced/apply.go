package eventsourced

import (
	"fmt"
	"reflect"
)

// applying is an aggregate whose own method changes its state.
type applying interface{ Apply(Event) }

// appliesTo is an event that changes the state of an aggregate itself.
type appliesTo[A any] interface{ ApplyTo(*A) }

// applier is what applies one event to one aggregate: one of the two.
type applier[A any] struct {
	aggregate applying
	event     appliesTo[A]
}

// applierOf returns [ErrNotApplied] when there is none, or two that might disagree.
func applierOf[A any](a *A, event Event) (applier[A], error) {
	aggregate, has := any(a).(applying)
	its, itself := event.(appliesTo[A])
	if has == itself {
		return applier[A]{}, fmt.Errorf("%w to %T: %s", ErrNotApplied, a, adviseApply(a, event))
	}
	return applier[A]{aggregate, its}, nil
}

func (by applier[A]) apply(a *A, event Event) {
	if by.aggregate != nil {
		by.aggregate.Apply(event)
		return
	}
	by.event.ApplyTo(a)
}

// applyTo applies an event that was read.
func applyTo[A any](a *A, event Event) error {
	by, err := applierOf(a, event)
	if err == nil {
		by.apply(a, event)
	}
	return err
}

// adviseApply says what to write.
func adviseApply(a any, event Event) string {
	aggregate, own := reflect.TypeOf(a), reflect.TypeOf(event)
	method, found := own.MethodByName("ApplyTo")
	switch _, has := a.(applying); {
	case has:
		return fmt.Sprintf("%s has Apply and %s has ApplyTo: keep one of them", aggregate, own)
	case found:
		return fmt.Sprintf("ApplyTo of %s has the form %s, want func(%s)", own, withoutReceiver(method.Type), aggregate)
	default:
		return fmt.Sprintf("write func (e *%s) ApplyTo(a *%s), or for all events func (a *%[2]s) Apply(event eventsourced.Event)",
			own.Elem().Name(), aggregate.Elem().Name())
	}
}

func withoutReceiver(method reflect.Type) reflect.Type {
	var in, out []reflect.Type
	for i := 1; i < method.NumIn(); i++ {
		in = append(in, method.In(i))
	}
	for i := range method.NumOut() {
		out = append(out, method.Out(i))
	}
	return reflect.FuncOf(in, out, method.IsVariadic())
}

// applyProblems returns those of the registered events that both forms would apply.
func applyProblems(a Aggregate, registry *Registry, appliesItself func(Event) bool) (problems []error) {
	if _, has := a.(applying); !has {
		return nil
	}
	for _, name := range registry.Names() {
		if event := registry.byName[name].newFunc(); appliesItself(event) {
			problems = append(problems, fmt.Errorf("event %q: %s", name, adviseApply(a, event)))
		}
	}
	return problems
}
