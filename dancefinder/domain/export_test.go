package domain

// LimitKnown sets how many bands and halls the service remembers.
func (s *Service) LimitKnown(n int) { s.knownBands.limit, s.knownDanceHalls.limit = n, n }

// KnownBands returns how many bands the service remembers.
func (s *Service) KnownBands() int { return len(s.knownBands.names) }
