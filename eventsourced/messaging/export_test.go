package messaging

// Reserved returns the metadata keys that an event's own metadata can't use.
func Reserved() []string { return reserved }
