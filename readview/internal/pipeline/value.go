package pipeline

import (
	"database/sql/driver"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// readable finds out how the columns of a query are read.
func (k *prepared) readable(types *pgtype.Map) {
	k.formats = make([]int16, len(k.description.Fields))
	k.values = make([]func([]byte) (driver.Value, error), len(k.description.Fields))
	for i, field := range k.description.Fields {
		k.formats[i], k.values[i] = valueOf(types, field.DataTypeOID)
	}
}

// valueOf tells in which format a type is asked for, and how it becomes a value of
// database/sql: what pgx's stdlib does, which has no way in for others.
func valueOf(types *pgtype.Map, oid uint32) (format int16, value func([]byte) (driver.Value, error)) {
	const text, binary = pgx.TextFormatCode, pgx.BinaryFormatCode
	switch oid {
	case pgtype.BoolOID:
		return binary, reads(types, oid, binary, itself[bool])
	case pgtype.ByteaOID:
		return binary, reads(types, oid, binary, itself[[]byte])
	case pgtype.CIDOID, pgtype.OIDOID, pgtype.XIDOID:
		return binary, reads(types, oid, binary, pgtype.Uint32.Value)
	case pgtype.DateOID:
		return binary, reads(types, oid, binary, pgtype.Date.Value)
	case pgtype.TimestampOID:
		return binary, reads(types, oid, binary, pgtype.Timestamp.Value)
	case pgtype.TimestamptzOID:
		return binary, reads(types, oid, binary, pgtype.Timestamptz.Value)
	case pgtype.Float4OID:
		return binary, reads(types, oid, binary, func(v float32) (driver.Value, error) { return float64(v), nil })
	case pgtype.Float8OID:
		return binary, reads(types, oid, binary, itself[float64])
	case pgtype.Int2OID:
		return binary, reads(types, oid, binary, func(v int16) (driver.Value, error) { return int64(v), nil })
	case pgtype.Int4OID:
		return binary, reads(types, oid, binary, func(v int32) (driver.Value, error) { return int64(v), nil })
	case pgtype.Int8OID:
		return binary, reads(types, oid, binary, itself[int64])
	case pgtype.JSONOID, pgtype.JSONBOID, pgtype.XMLOID:
		return text, reads(types, oid, text, itself[[]byte])
	}
	return text, reads(types, oid, text, itself[string])
}

func itself[T any](v T) (driver.Value, error) { return v, nil }

func reads[T any](types *pgtype.Map, oid uint32, format int16, value func(T) (driver.Value, error)) func([]byte) (driver.Value, error) {
	var into T
	plan := types.PlanScan(oid, format, &into)
	return func(source []byte) (driver.Value, error) {
		if err := plan.Scan(source, &into); err != nil {
			return nil, err
		}
		return value(into)
	}
}

// ColumnTypeDatabaseTypeName implements [driver.RowsColumnTypeDatabaseTypeName].
func (a *answer) ColumnTypeDatabaseTypeName(i int) string {
	oid := a.of.description.Fields[i].DataTypeOID
	if known, ok := a.tx.pgx.TypeMap().TypeForOID(oid); ok {
		return strings.ToUpper(known.Name)
	}
	return strconv.FormatInt(int64(oid), 10)
}

// ColumnTypeLength implements [driver.RowsColumnTypeLength].
func (a *answer) ColumnTypeLength(i int) (int64, bool) {
	const header = 4
	switch field := a.of.description.Fields[i]; field.DataTypeOID {
	case pgtype.TextOID, pgtype.ByteaOID:
		return math.MaxInt64, true
	case pgtype.VarcharOID, pgtype.BPCharOID:
		return int64(field.TypeModifier - header), true
	case pgtype.VarbitOID:
		return int64(field.TypeModifier), true
	}
	return 0, false
}

// ColumnTypePrecisionScale implements [driver.RowsColumnTypePrecisionScale].
func (a *answer) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	field := a.of.description.Fields[i]
	if field.DataTypeOID != pgtype.NumericOID {
		return 0, 0, false
	}
	modifier := field.TypeModifier - 4
	return int64((modifier >> 16) & 0xffff), int64(modifier & 0xffff), true
}

var scanTypes = map[uint32]reflect.Type{
	pgtype.Float8OID: reflect.TypeFor[float64](), pgtype.Float4OID: reflect.TypeFor[float32](), pgtype.NumericOID: reflect.TypeFor[float64](),
	pgtype.Int8OID: reflect.TypeFor[int64](), pgtype.Int4OID: reflect.TypeFor[int32](), pgtype.Int2OID: reflect.TypeFor[int16](),
	pgtype.BoolOID: reflect.TypeFor[bool](), pgtype.ByteaOID: reflect.TypeFor[[]byte](), pgtype.DateOID: reflect.TypeFor[time.Time](),
	pgtype.TimestampOID: reflect.TypeFor[time.Time](), pgtype.TimestamptzOID: reflect.TypeFor[time.Time](),
}

// ColumnTypeScanType implements [driver.RowsColumnTypeScanType].
func (a *answer) ColumnTypeScanType(i int) reflect.Type {
	if known, ok := scanTypes[a.of.description.Fields[i].DataTypeOID]; ok {
		return known
	}
	return reflect.TypeFor[string]()
}
