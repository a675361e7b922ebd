package devservices

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed watchdog.sh
var watchdogScript string

type watchdogConfig struct {
	dir       string   // the service's folder and working directory
	temporary bool     // remove dir at the end
	user      *account // whom to run as
	signals   string   // what stops the service: names, in order of force
	script    string   // the service: shell lines that call run
	args      []string // arguments of script
}

// watchdog is a shell process that runs one service. It stops the service, and
// removes its folder if temporary, when stop is called or when we die.
type watchdog struct {
	config watchdogConfig
	owner  io.Closer // the pipe that says we live
	output bytes.Buffer
	done   chan struct{} // closed when service and watchdog are gone
}

func startWatchdog(config watchdogConfig) (*watchdog, error) {
	temporary := "no"
	if config.temporary {
		temporary = "yes"
	}
	args := append([]string{"-c", watchdogScript + config.script, "devservices", temporary, config.signals}, config.args...)
	command := exec.Command("/bin/sh", args...) //nolint:noctx // it outlives any context
	command.Dir = config.dir
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + config.dir, "LC_ALL=C", "TZ=UTC"}
	command.SysProcAttr = detached(config.user)
	dog := &watchdog{config: config, done: make(chan struct{})}
	command.Stdout, command.Stderr = &dog.output, &dog.output
	owner, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	dog.owner = owner
	if err := command.Start(); err != nil {
		return nil, errors.Join(err, dog.removeTemporary())
	}
	go func() {
		defer close(dog.done)
		_ = command.Wait()
	}()
	return dog, nil
}

// stop ends the service and waits until nothing of it is left.
func (d *watchdog) stop() error {
	_ = d.owner.Close()
	<-d.done
	return d.removeTemporary()
}

// lastWords is the end of the log of a service that failed, once done is closed.
func (d *watchdog) lastWords() string { return strings.TrimSpace(d.output.String()) }

// removeTemporary is for the case that the watchdog could not do it.
func (d *watchdog) removeTemporary() error {
	if !d.config.temporary {
		return nil
	}
	return os.RemoveAll(d.config.dir)
}

// serviceFolder returns the folder of a service: the named one, or a new temporary
// one. It belongs to user, who can enter it.
func serviceFolder(ctx context.Context, service, named string, user *account) (string, error) {
	if named == "" {
		return temporaryFolder(ctx, service, user)
	}
	dir, err := filepath.Abs(named)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, "devservices.log")); err != nil && len(entries) > 0 {
		return "", fmt.Errorf("folder %s is neither empty nor one of ours", dir)
	}
	if err := user.own(dir); err != nil {
		return "", err
	}
	return dir, user.can(ctx, dir, "[ -w . ]")
}

// temporaryFolder falls back to /tmp because TMPDIR may be a place that only root
// can enter, or can remove a folder from.
func temporaryFolder(ctx context.Context, service string, user *account) (string, error) {
	var problems []error
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		dir, err := os.MkdirTemp(parent, "devservices-"+service+"-")
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if err = errors.Join(user.own(dir), user.can(ctx, dir, "[ -w .. ]")); err == nil {
			return dir, nil
		}
		problems = append(problems, err, os.Remove(dir))
	}
	return "", errors.Join(problems...)
}
