//go:build !unix

package devservices

import "syscall"

// detached has no meaning here: without /bin/sh no service starts.
func detached(*account) *syscall.SysProcAttr { return nil }
