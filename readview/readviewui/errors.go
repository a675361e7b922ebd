package readviewui

import "errors"

// ErrConfig is what all errors of [New] unwrap to.
var ErrConfig = errors.New("readviewui: the configuration makes no sense")
