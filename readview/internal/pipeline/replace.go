package pipeline

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"
)

// An upsert that makes a row what it would have inserted leaves nothing of what an upsert of its text has made of that row before:
//
//	INSERT INTO balance (account, amount) VALUES ($1, $2) ON CONFLICT (account) DO UPDATE SET amount = EXCLUDED.amount
//
// So of two in a set the first one is not sent, as long as nobody can tell that it was not executed: it sets all columns that it gives but
// the key, those that it does not give have no value that depends on when the row was made, and it can't have failed. That is so if nothing
// refuses a row of the table but its only key, whose conflicts it resolves, and NULL where that must not be; and if its
// values are such as the server takes all of.

// replaceable tells whether the row of these arguments can't be refused, where its table takes all.
func (b *bulk) replaceable(isUTF8 bool, values [][]byte, formats []int16) bool {
	for n, value := range values {
		if value == nil {
			if slices.Contains(b.needed, n) {
				return false
			}
			continue
		}
		if !valid(b.one.description.ParamOIDs[n], formats[n] == pgtype.BinaryFormatCode, isUTF8, value) {
			return false
		}
	}
	return true
}

// valid tells whether it is known that a value is one of its type.
func valid(oid uint32, isBinary, isUTF8 bool, value []byte) bool {
	const year = 365 * 24 * 3600 * 1e6 // more or less, in microseconds; the server's are from 4713 BC to 294276
	switch oid {
	case pgtype.TextOID, pgtype.VarcharOID:
		return isUTF8 && utf8.Valid(value) && bytes.IndexByte(value, 0) < 0
	case pgtype.BoolOID:
		return isBinary && len(value) == 1
	case pgtype.Int2OID:
		return isBinary && len(value) == 2
	case pgtype.Int4OID, pgtype.Float4OID:
		return isBinary && len(value) == 4
	case pgtype.Int8OID, pgtype.Float8OID:
		return isBinary && len(value) == 8
	case pgtype.TimestampOID, pgtype.TimestamptzOID:
		if !isBinary || len(value) != 8 {
			return false
		}
		since2000 := int64(binary.BigEndian.Uint64(value))
		return -6000*year < since2000 && since2000 < 200_000*year
	case pgtype.UUIDOID:
		return isBinary && len(value) == 16
	case pgtype.ByteaOID:
		return isBinary
	}
	return false
}

// replaced returns the row that one of the key replaces, nil if there is none, or it has to stay.
func (r *rows) replaced(i identity, key []byte) *kept {
	at, has := r.keys[i.hash]
	if !has || !r.of.replaces || !i.exact {
		return nil
	}
	row := &r.few[at]
	if !bytes.Equal(row.key, key) || !r.of.replaceable(r.utf8, row.values, row.formats) {
		return nil
	}
	return row
}
