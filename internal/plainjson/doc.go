// Package plainjson decodes plain JSON into structs of plain types, by a decoder that is made once for a type: what
// programs write, faster than encoding/json. What is not plain it does not decode, and its caller takes encoding/json:
// so what decodes to what is decided there alone.
//
// Plain types are strings, numbers, booleans, structs of them, and pointers and slices of all these. What decodes itself
// (json.Unmarshaler, encoding.TextUnmarshaler, such as time.Time), maps, arrays, interfaces, bytes, types that refer to
// themselves, embedded structs that have fields, and the option "string" are not.
//
// Plain JSON is valid, has each name once and exactly as the struct has it, no name that the struct does not have, no
// escape by number, and numbers that the field can hold.
package plainjson
