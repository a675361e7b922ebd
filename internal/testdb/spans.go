package testdb

import (
	"bytes"
	"encoding/binary"
)

// spans follows the messages of a server, of which only some are looked into.
type spans struct {
	head   [5]byte
	have   int  // of head
	left   int  // of the message's body
	last   byte // the message's type
	body   []byte
	until  []byte // the tag of the statement that is waited for
	past   bool   // it has come
	found  bool   // and the server is ready for more
	failed bool
}

func (s *spans) follow(b []byte) {
	for len(b) > 0 {
		if s.left == 0 && s.have < 5 {
			n := copy(s.head[s.have:], b)
			s.have, b = s.have+n, b[n:]
			if s.have < 5 {
				return
			}
			s.last, s.left, s.body = s.head[0], int(binary.BigEndian.Uint32(s.head[1:]))-4, nil
		}
		n := min(s.left, len(b))
		if s.until != nil && (s.last == 'C' || s.last == 'Z') {
			s.body = append(s.body, b[:n]...)
		}
		s.left, b = s.left-n, b[n:]
		if s.left > 0 {
			return
		}
		s.have = 0
		switch {
		case s.last == 'C' && s.until != nil && bytes.Equal(s.body, s.until):
			s.past = true
		case s.last == 'Z' && s.past:
			s.found = true
		case s.last == 'E' && s.until != nil:
			s.failed = true
		}
	}
}
