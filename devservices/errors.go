package devservices

import "errors"

// ErrNotInstalled is wrapped by the errors of [StartPostgres] and [StartRabbitMQ]
// when the server's programs are not on this machine, and of [InstallPostgres] and
// [InstallRabbitMQ] when they have no means to bring them. The wrapping error is one line that says what to install.
var ErrNotInstalled = errors.New("not installed")
