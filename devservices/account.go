package devservices

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
)

// account is a user other than ourselves. A nil account is ourselves.
type account struct{ uid, gid uint32 }

// serviceAccount returns whom to run a service as: ourselves, or as root the first
// of these users that exists.
func serviceAccount(names ...string) (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range names {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &account{uint32(uid), uint32(gid)}, nil
	}
	return nil, fmt.Errorf("run as root, and there is no user %s to run the server as", strings.Join(names, " or "))
}

func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// can tells whether the account can work in dir and there passes a test of sh, by
// trying.
func (a *account) can(ctx context.Context, dir, test string) error {
	command := exec.CommandContext(ctx, "/bin/sh", "-c", test)
	command.Dir = dir
	command.SysProcAttr = detached(a)
	if err := command.Run(); err != nil {
		return fmt.Errorf("no access for the user of the server to %s: %w", dir, err)
	}
	return nil
}
