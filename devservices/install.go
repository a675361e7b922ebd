package devservices

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// installScript keeps Debian's packages from creating and starting servers of
// their own, which would go on after us: postgresql-common reads the first file
// before it makes the "main" cluster of a new version, and the second one keeps
// packages from starting services. Both are removed again, so the next server that
// somebody installs behaves as usual.
const installScript = `
override=/etc/postgresql-common/createcluster.d/devservices.conf
policy=/usr/sbin/policy-rc.d
[ ! -e "$policy" ] || policy=/dev/null # somebody else decides already
trap 'exit 130' HUP INT TERM
trap 'rm -f "$override"; rmdir "${override%/*}" 2>/dev/null || :; [ "$policy" = /dev/null ] || rm -f "$policy"' EXIT
mkdir -p "${override%/*}"
echo 'create_main_cluster = false' >"$override"
[ "$policy" = /dev/null ] || { printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod 755 "$policy"; }
apt-get update || : # a source that is down may not be the one we need
DEBIAN_FRONTEND=noninteractive apt-get install -o DPkg::Lock::Timeout=120 -y --no-install-recommends "$1"
`

// InstallPostgres installs Debian's package postgresql, unless PostgreSQL is there
// already. It needs apt-get, and root or sudo without a password; otherwise the
// error is [ErrNotInstalled]. It says on log what it does. A cancelled ctx takes
// effect between the steps of apt-get, which is never stopped half-way.
func InstallPostgres(ctx context.Context, log io.Writer) error {
	return install(ctx, log, "postgresql", func() error {
		_, err := findPostgres(ctx)
		return err
	})
}

// InstallRabbitMQ does the same with the package rabbitmq-server.
func InstallRabbitMQ(ctx context.Context, log io.Writer) error {
	return install(ctx, log, "rabbitmq-server", func() error {
		_, err := findRabbitMQ()
		return err
	})
}

func install(ctx context.Context, log io.Writer, name string, find func() error) error {
	missing := find()
	if missing == nil {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return missing
	}
	args := []string{"sh", "-c", installScript, "devservices", name}
	if os.Geteuid() != 0 {
		if exec.CommandContext(ctx, "sudo", "-n", "true").Run() != nil {
			return missing
		}
		args = append([]string{"sudo", "-n"}, args...)
	}
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	_, _ = fmt.Fprintf(log, "installing Debian's package %s with apt-get, about a minute\n", name)
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("install %s with apt-get: %w: %s", name, err, lastLines(string(output), 5))
	}
	return find()
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
