package pgstore

import (
	"encoding/binary"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// arrayHeader is how many bytes the binary form of an array has before its elements: one dimension,
// whether there are NULLs, the type, the length, the first index.
const arrayHeader = 20

// encodeTags returns the binary form of a text[], nil for none: by hand, as most events have none, and
// those that do pay for each append.
func encodeTags(tags []string) []byte {
	if len(tags) == 0 {
		return nil
	}
	array := make([]byte, 0, 256)
	for _, n := range []int{1, 0, pgtype.TextOID, len(tags), 1} {
		array = binary.BigEndian.AppendUint32(array, uint32(n))
	}
	for _, tag := range tags {
		array = append(binary.BigEndian.AppendUint32(array, uint32(len(tag))), tag...)
	}
	return array
}

// tags reads that form.
func tags(array []byte) (tags []string) {
	if len(array) <= arrayHeader {
		return nil
	}
	for array = array[arrayHeader:]; len(array) > 0; {
		end := 4 + binary.BigEndian.Uint32(array)
		tags = append(tags, string(array[4:end]))
		array = array[end:]
	}
	return tags
}

var quoting = strings.NewReplacer(`"`, `\"`, `\`, `\\`)

// tagsText returns the textual form, nil for none: there is no array of arrays of different lengths.
func tagsText(tags []string) *string {
	if len(tags) == 0 {
		return nil
	}
	quoted := make([]string, len(tags))
	for i, tag := range tags {
		quoted[i] = `"` + quoting.Replace(tag) + `"`
	}
	text := "{" + strings.Join(quoted, ",") + "}"
	return &text
}
