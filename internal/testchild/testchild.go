// Package testchild gives a test the program for its child processes: its own test binary,
// but without the race detector, which takes longer to start than such a child lives.
package testchild

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var build = sync.OnceValues(func() (string, error) {
	if !race {
		return os.Args[0], nil
	}
	path, err := filepath.Abs(filepath.Join(filepath.Dir(os.Args[0]), "child.test"))
	if err != nil {
		return "", err
	}
	// Nobody debugs it (-s -w), which makes linking cheaper.
	said, err := exec.Command("go", "test", "-c", "-race=false", "-vet=off", "-ldflags=-s -w", "-o", path, ".").CombinedOutput() //nolint:noctx // it ends by itself
	if err != nil {
		return "", fmt.Errorf("build the test binary without the race detector: %w\n%s", err, said)
	}
	return path, nil
})

// Path returns the program. The first call of a process builds it, beside the test binary,
// with which go test removes it.
func Path(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatalf("testchild: %v", err)
	}
	return path
}
