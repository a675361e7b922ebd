package listing

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// lines gives a text line by line, with those that follow in sight.
type lines struct {
	in   *bufio.Reader // of 2 * MaxRecord
	end  byte
	size int // how much of the text a row takes
}

// until returns the size of the text up to the end of the line that begins at offset.
// It returns io.EOF if there is none, and ErrTooLong for one out of sight.
func (l *lines) until(offset int) (int, error) {
	seen := offset
	for {
		text, _ := l.in.Peek(l.in.Buffered()) // can't fail: it is there
		if seen < len(text) {
			if i := bytes.IndexByte(text[seen:], l.end); i >= 0 && seen+i < offset+MaxRecord {
				return seen + i + 1, nil
			}
		}
		if seen = max(seen, len(text)); seen-offset >= MaxRecord || seen >= 2*MaxRecord {
			return 0, fmt.Errorf("line of more than %d bytes: %w", MaxRecord, ErrTooLong)
		}
		_, err := l.in.Peek(seen + 1)
		switch grown := l.in.Buffered(); {
		case grown > seen:
		case err == io.EOF && grown > offset:
			return grown, nil
		case err != nil:
			return 0, err
		}
	}
}

// text returns what comes next.
func (l *lines) text(size int) []byte {
	text, _ := l.in.Peek(size) // can't fail: until has seen it
	return text
}

func (l *lines) take(size int) { _, _ = l.in.Discard(size) } // can't fail: until has seen it

// skip passes over the rest of a line.
func (l *lines) skip() error {
	for {
		_, err := l.in.ReadSlice(l.end)
		if err != bufio.ErrBufferFull {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}
