package consumertest

import (
	"context"
	"fmt"
	"testing"
)

// NewExample returns a bank for an Example, and what ends it.
func NewExample() (bank *Bank, end func()) {
	t := &exampleTest{}
	return New(t), t.end
}

// Check panics with an error: an Example has no test to fail.
func Check(err error) {
	if err != nil {
		panic(err)
	}
}

// exampleTest is a test for a bank, where there is none.
type exampleTest struct {
	testing.TB
	cleanups []func()
}

func (*exampleTest) Helper()                      {}
func (*exampleTest) Context() context.Context     { return context.Background() }
func (*exampleTest) Failed() bool                 { return false }
func (*exampleTest) FailNow()                     { panic("the example has failed") }
func (*exampleTest) Logf(string, ...any)          {}
func (*exampleTest) Errorf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (*exampleTest) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (t *exampleTest) Cleanup(cleanup func())     { t.cleanups = append(t.cleanups, cleanup) }
func (t *exampleTest) end() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}
