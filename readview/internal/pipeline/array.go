package pipeline

import (
	"encoding/binary"

	"github.com/jackc/pgx/v5/pgtype"
)

// array is the values of one argument in many rows, as the server reads them: in
// binary, or as text like {"a",NULL}.
type array struct {
	buffer  []byte
	element uint32
	text    bool // the elements are, and so is the array
	strings bool // text and binary are the same
}

const arrayHeader = 5 * 4 // dimensions, flags, element type, length, first index

func (a *array) start(element uint32, format int16) {
	a.element = element
	a.strings = element == pgtype.TextOID || element == pgtype.VarcharOID || element == pgtype.BPCharOID
	a.text = format == pgtype.TextFormatCode && !a.strings
	if a.buffer = a.buffer[:0]; cap(a.buffer) > 4*sendBytes {
		a.buffer = nil // a connection is kept for long
	}
	if a.text {
		a.buffer = append(a.buffer, '{')
	} else {
		a.buffer = append(a.buffer, make([]byte, arrayHeader)...)
	}
}

func (a *array) takes(format int16) bool {
	return a.strings || a.text == (format == pgtype.TextFormatCode)
}

func (a *array) add(value []byte) {
	switch {
	case !a.text && value == nil:
		a.buffer = binary.BigEndian.AppendUint32(a.buffer, 1<<32-1)
	case !a.text:
		a.buffer = binary.BigEndian.AppendUint32(a.buffer, uint32(len(value)))
		a.buffer = append(a.buffer, value...)
	case value == nil:
		a.buffer = append(a.buffer, "NULL,"...)
	default:
		a.buffer = append(a.buffer, '"')
		for _, c := range value {
			if c == '"' || c == '\\' {
				a.buffer = append(a.buffer, '\\')
			}
			a.buffer = append(a.buffer, c)
		}
		a.buffer = append(a.buffer, `",`...)
	}
}

func (a *array) value(count int) (value []byte, format int16) {
	if a.text {
		a.buffer[len(a.buffer)-1] = '}'
		return a.buffer, pgtype.TextFormatCode
	}
	for i, n := range []uint32{1, 1, a.element, uint32(count), 1} { // one dimension, NULLs are possible
		binary.BigEndian.PutUint32(a.buffer[i*4:], n)
	}
	return a.buffer, pgtype.BinaryFormatCode
}
