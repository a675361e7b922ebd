package pipeline

import (
	"database/sql"
	"reflect"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"
)

// build puts the arguments of a statement into the builder.
func (s *session) build(k *prepared, args []any) error {
	types := k.description.ParamOIDs
	s.args = s.args[:0]
	for i, arg := range args {
		if i < len(types) {
			arg = asText(arg, types[i])
		}
		s.args = append(s.args, arg)
	}
	err := s.builder.Build(s.pgx.TypeMap(), k.description, s.args)
	clear(s.args)
	return err
}

// notText are types whose values have a binary form that no text has. Of others, such as JSON, what becomes of a text depends on
// its Go type.
var notText = []uint32{
	pgtype.BoolOID, pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID, pgtype.UUIDOID,
	pgtype.DateOID, pgtype.TimeOID, pgtype.TimetzOID, pgtype.TimestampOID, pgtype.TimestamptzOID, pgtype.IntervalOID,
}

// asText returns an argument that is but a text as a string, which goes to the server as it is, whatever it is to become there. With a
// date, say, pgx would try to make its binary form of anything else first, and an error of that: several times the work of the
// whole statement here. It returns all others as they are.
func asText(arg any, oid uint32) any {
	switch arg := arg.(type) {
	case nil, string, []byte, int, int64, bool:
		return arg
	case sql.NullString:
		if !arg.Valid {
			return (*string)(nil) // not nil, which goes in binary: a set's rows are of one form
		}
		return arg.String
	}
	if t := reflect.TypeOf(arg); t.Kind() == reflect.String && t.NumMethod() == 0 && slices.Contains(notText, oid) {
		return reflect.ValueOf(arg).String()
	}
	return arg
}
