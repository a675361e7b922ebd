//go:build unix

package devservices

import "syscall"

// detached gives a process its own session, so that a Ctrl-C in our terminal does
// not reach it before us, and the account's rights.
func detached(a *account) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}
