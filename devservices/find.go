package devservices

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Where packages put PostgreSQL outside of PATH: Debian, Homebrew on ARM and on Intel.
var postgresPlaces = []string{
	"/usr/lib/postgresql/*/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
}

// findPostgres returns the folder that has both initdb and postgres: the one in
// PATH, that of pg_config, or the newest in the known places.
func findPostgres(ctx context.Context) (string, error) {
	var candidates []string
	if path, err := exec.LookPath("postgres"); err == nil {
		candidates = append(candidates, filepath.Dir(path))
		if target, err := filepath.EvalSymlinks(path); err == nil {
			candidates = append(candidates, filepath.Dir(target))
		}
	}
	if output, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		candidates = append(candidates, strings.TrimSpace(string(output)))
	}
	for _, place := range postgresPlaces {
		found, _ := filepath.Glob(place)
		candidates = append(candidates, newestFirst(found)...)
	}
	for _, dir := range candidates {
		if isProgram(filepath.Join(dir, "initdb")) && isProgram(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("PostgreSQL is %w: `apt-get install postgresql` on Debian, `brew install postgresql@17` on macOS", ErrNotInstalled)
}

// Where packages put RabbitMQ: Debian, whose programs in PATH insist on the
// service's own user and folders, Homebrew on ARM and on Intel.
var rabbitMQPlaces = []string{
	"/usr/lib/rabbitmq/bin",
	"/opt/homebrew/opt/rabbitmq/sbin",
	"/usr/local/opt/rabbitmq/sbin",
}

// findRabbitMQ returns the folder that has rabbitmq-server and rabbitmqctl.
func findRabbitMQ() (string, error) {
	candidates := rabbitMQPlaces
	if path, err := exec.LookPath("rabbitmq-server"); err == nil {
		candidates = append(slices.Clip(candidates), filepath.Dir(path))
	}
	for _, dir := range candidates {
		if isProgram(filepath.Join(dir, "rabbitmq-server")) && isProgram(filepath.Join(dir, "rabbitmqctl")) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("RabbitMQ is %w: `apt-get install rabbitmq-server` on Debian, `brew install rabbitmq` on macOS", ErrNotInstalled)
}

func isProgram(path string) bool {
	_, err := exec.LookPath(path)
	return err == nil
}

var versionPattern = regexp.MustCompile(`\d+(\.\d+)?`)

func newestFirst(dirs []string) []string {
	version := func(dir string) float64 {
		v, _ := strconv.ParseFloat(versionPattern.FindString(dir), 64)
		return v
	}
	return slices.SortedStableFunc(slices.Values(dirs), func(a, b string) int {
		return cmp.Compare(version(b), version(a))
	})
}
