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

// installScript keeps Debian's package from creating and starting a server of its
// own, which would go on after us: postgresql-common reads this folder before it
// makes the "main" cluster of a new version. The override is removed again, so the
// next PostgreSQL that somebody installs behaves as usual.
const installScript = `
override=/etc/postgresql-common/createcluster.d/devservices.conf
trap 'exit 130' HUP INT TERM
trap 'rm -f "$override"; rmdir "${override%/*}" 2>/dev/null || :' EXIT
mkdir -p "${override%/*}"
echo 'create_main_cluster = false' >"$override"
apt-get update || : # a source that is down may not be the one we need
DEBIAN_FRONTEND=noninteractive apt-get install -o DPkg::Lock::Timeout=120 -y --no-install-recommends postgresql
`

// Install installs Debian's package postgresql, unless PostgreSQL is there already.
// It needs apt-get, and root or sudo without a password; otherwise the error is
// [ErrNotInstalled]. It says on log what it does. A cancelled ctx takes effect
// between the steps of apt-get, which is never stopped half-way.
func Install(ctx context.Context, log io.Writer) error {
	_, missing := findPostgres(ctx)
	if missing == nil {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return missing
	}
	command := exec.CommandContext(ctx, "sh", "-c", installScript)
	if os.Geteuid() != 0 {
		if exec.CommandContext(ctx, "sudo", "-n", "true").Run() != nil {
			return missing
		}
		command = exec.CommandContext(ctx, "sudo", "-n", "sh", "-c", installScript)
	}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	_, _ = fmt.Fprintln(log, "PostgreSQL is not installed: installing Debian's package postgresql with apt-get, about a minute")
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("install postgresql with apt-get: %w: %s", err, lastLines(string(output), 5))
	}
	_, err = findPostgres(ctx)
	return err
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
