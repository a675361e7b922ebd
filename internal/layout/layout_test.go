// Package layout has no code: its test keeps the direction of imports.
package layout_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "github.com/dancefinder/eventsourcing"

// pkg is a package as go list tells of it, without tests.
type pkg struct {
	path    string
	imports []string // by itself
	deps    []string // by what it imports, too
}

func list(t *testing.T, dir string) (all []pkg) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}}|{{join .Imports " "}}|{{join .Deps " "}}`, "./...")
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	for line := range strings.Lines(string(out)) {
		part := strings.Split(strings.TrimSpace(line), "|")
		all = append(all, pkg{part[0], strings.Fields(part[1]), strings.Fields(part[2])})
	}
	require.NotEmpty(t, all)
	return all
}

// within tells whether a package is dir or below it, dir being relative to root.
func within(path, dir string) bool {
	return path == root+"/"+dir || strings.HasPrefix(path, root+"/"+dir+"/")
}

func external(path string) bool { return strings.Contains(strings.Split(path, "/")[0], ".") }

// helper tells whether a package of ours is for tests.
func helper(path string) bool {
	return strings.HasPrefix(path, root+"/") && slices.ContainsFunc([]string{"test", "testdb", "testamqp", "testchild"}, func(suffix string) bool {
		return strings.HasSuffix(path, suffix)
	})
}

func TestDirectionOfImports(t *testing.T) {
	t.Parallel()
	for _, p := range slices.Concat(list(t, "../.."), list(t, "../../operate"), list(t, "../../dancefinder")) {
		forbid := func(why string, paths []string, forbidden func(string) bool) {
			for _, path := range paths {
				require.False(t, forbidden(path), "%s: %s depends on %s", why, p.path, path)
			}
		}
		if p.path == root+"/eventsourced" {
			forbid("the write side uses the standard library only", p.deps, func(path string) bool {
				return external(path) && path != p.path && !within(path, "internal/wait") && !within(path, "internal/plainjson")
			})
		}
		if within(p.path, "eventsourced") {
			forbid("the write side knows nothing of the read side", p.deps, func(path string) bool { return within(path, "readview") })
		}
		if p.path == root+"/eventsourced/consumer" || p.path == root+"/eventsourced/reactor" {
			forbid("who goes through the log knows nothing of Watermill", p.deps, func(path string) bool { return strings.Contains(path, "/watermill") })
		}
		if p.path == root+"/eventsourced/consumer" {
			forbid("what all have in common knows none of them", p.deps, func(path string) bool {
				return within(path, "eventsourced/messaging") || within(path, "eventsourced/relay") || within(path, "eventsourced/reactor")
			})
		}
		if p.path == root+"/eventsourced/messaging" {
			forbid("the bridge to Watermill is nothing else", p.deps, func(path string) bool {
				return within(path, "eventsourced/relay") || within(path, "eventsourced/reactor") || within(path, "eventsourced/amqpbus")
			})
		}
		if p.path == root+"/readview" {
			forbid("the read side takes an interface, not a store", p.deps, func(path string) bool {
				return within(path, "eventsourced/pgstore") || within(path, "eventsourced/memstore")
			})
		}
		if within(p.path, "dancefinder/domain") {
			forbid("a domain compiles without a driver", p.deps, func(path string) bool {
				return strings.Contains(path, "/pgx/") || strings.Contains(path, "/watermill")
			})
		}
		if within(p.path, "dancefinder") || within(p.path, "examples") {
			forbid("applications use public packages only", p.imports, func(path string) bool { return within(path, "internal") })
		} else {
			forbid("the framework knows nothing of its applications", p.deps, func(path string) bool {
				return within(path, "dancefinder") || within(path, "examples")
			})
		}
		if !helper(p.path) {
			forbid("test helpers are imported by tests only", p.imports, func(path string) bool { return path == "testing" || helper(path) })
		}
	}
}

// An importer of the framework pays for each of these.
func TestDirectRequirements(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", `{{if not .Indirect}}{{.Path}}{{end}}`, "all")
	cmd.Dir = "../.."
	cmd.Env = append(cmd.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	require.NoError(t, err)
	allowed := []string{
		root,
		"github.com/ThreeDotsLabs/watermill",
		"github.com/ThreeDotsLabs/watermill-amqp/v3",
		"github.com/ThreeDotsLabs/watermill-sql/v3",
		"github.com/jackc/pgx/v5",
		"github.com/rabbitmq/amqp091-go", // watermill-amqp brings it along
		"github.com/stretchr/testify",    // tests only, as the rest
		"go.uber.org/goleak",
		"pgregory.net/rapid",
	}
	require.Subset(t, allowed, strings.Fields(string(out)))
}
