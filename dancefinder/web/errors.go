package web

import "errors"

// ErrConfig is returned by [NewHandler] for a [Config] that can't work.
var ErrConfig = errors.New("the configuration of the page is not valid")
