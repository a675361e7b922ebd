package pipeline

import (
	"encoding/binary"
	"encoding/hex"
	"hash/maphash"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"
)

// keyTypes are those whose values are the same only if they look it.
var keyTypes = []uint32{pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.TextOID, pgtype.VarcharOID, pgtype.UUIDOID, pgtype.DateOID}

// keyKind is what the values of a type of keys are compared as: those of one kind are the same in another of its types, too.
func keyKind(oid uint32) uint32 {
	switch oid {
	case pgtype.Int2OID, pgtype.Int4OID:
		return pgtype.Int8OID
	case pgtype.VarcharOID:
		return pgtype.TextOID
	}
	return oid
}

// appendKey appends a value of a key such that those that are the same in the database are the same here. ok is false
// where that is not known.
func appendKey(to []byte, oid uint32, format int16, value []byte) (key []byte, ok bool) {
	if value == nil || !slices.Contains(keyTypes, oid) {
		return to, false
	}
	isBinary := format == pgtype.BinaryFormatCode
	switch {
	case oid == pgtype.TextOID, oid == pgtype.VarcharOID:
		to = binary.BigEndian.AppendUint32(to, uint32(len(value)))
		return append(to, value...), true
	case oid == pgtype.Int2OID && isBinary && len(value) == 2:
		return binary.BigEndian.AppendUint64(to, uint64(int16(binary.BigEndian.Uint16(value)))), true
	case oid == pgtype.Int4OID && isBinary && len(value) == 4:
		return binary.BigEndian.AppendUint64(to, uint64(int32(binary.BigEndian.Uint32(value)))), true
	case oid == pgtype.UUIDOID && !isBinary:
		return appendUUID(to, value)
	case isBinary:
		return append(to, value...), true
	}
	return to, false
}

// appendUUID reads one as it is written most.
func appendUUID(to, text []byte) (key []byte, ok bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return to, false
	}
	for _, part := range [...][]byte{text[:8], text[9:13], text[14:18], text[19:23], text[24:]} {
		var err error
		if to, err = hex.AppendDecode(to, part); err != nil {
			return to, false
		}
	}
	return to, true
}

var keySeed = maphash.MakeSeed()

// identity is which row it is that the arguments are about.
type identity struct {
	hash   uint64 // of two that are the same by chance, the second row has to wait
	exact  bool   // different keys are different rows
	shared bool   // and so they are for all statements of the table
}

// identity returns that of the arguments that are in the builder.
func (s *session) identity(b *bulk) (i identity) {
	if b.key == nil {
		return i
	}
	values, formats := s.builder.ParamValues, s.builder.ParamFormats
	s.key, i.exact = s.key[:0], b.exact
	for _, n := range b.key {
		if i.exact {
			s.key, i.exact = appendKey(s.key, b.one.description.ParamOIDs[n], formats[n], values[n])
		}
	}
	i.shared = i.exact && b.shared
	if !i.exact {
		s.key = s.key[:0]
		for _, n := range b.key {
			s.key = binary.BigEndian.AppendUint32(s.key, uint32(len(values[n])))
			s.key = append(s.key, values[n]...)
		}
	}
	i.hash = maphash.Bytes(keySeed, s.key)
	return i
}
