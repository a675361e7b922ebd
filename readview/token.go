package readview

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync/atomic"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// A token is the base64url of: its version, a tag of the log, the position, and the HMAC-SHA256
// of what stands before.
const (
	tokenVersion = 1
	logSize      = 16
	tokenBody    = 1 + logSize + 8
	tokenSize    = tokenBody + sha256.Size
)

// tokenUse is signed with every token, so that nothing else that is signed with the same key
// is taken for one.
const tokenUse = "eventsourcing consistency token\x00"

// logTag is a log's identity in a token: of any length outside, of one length inside.
func logTag(id string) (tag [logSize]byte) {
	sum := sha256.Sum256([]byte(id))
	copy(tag[:], sum[:])
	return tag
}

func mac(key, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(tokenUse))
	h.Write(body)
	return h.Sum(nil)
}

func (c *Consistency) sign(position eventsourced.Position) string {
	token := make([]byte, 0, tokenSize)
	token = append(token, tokenVersion)
	token = append(token, c.log[:]...)
	token = binary.BigEndian.AppendUint64(token, uint64(position))
	return base64.RawURLEncoding.EncodeToString(append(token, mac(c.config.Keys[0], token)...))
}

// open returns the position of a token of ours. A token of another length is not even decoded.
func (c *Consistency) open(text string) (eventsourced.Position, error) {
	if len(text) != base64.RawURLEncoding.EncodedLen(tokenSize) {
		return 0, ErrTokenForged
	}
	// Strict: the unused bits at the end don't make for other spellings of the same token.
	token, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(token) != tokenSize { // it passes over line breaks
		return 0, ErrTokenForged
	}
	body, signature := token[:tokenBody], token[tokenBody:]
	genuine := false
	for _, key := range c.config.Keys {
		genuine = hmac.Equal(signature, mac(key, body)) || genuine
	}
	position := eventsourced.Position(binary.BigEndian.Uint64(body[1+logSize:]))
	switch {
	case !genuine || body[0] != tokenVersion || position < 0:
		return 0, ErrTokenForged
	case [logSize]byte(body[1:1+logSize]) != c.log:
		return 0, ErrTokenForeign
	}
	return position, nil
}

// highest is the highest position of the log that is known to exist. Up to it, the log
// need not be asked.
type highest struct{ at atomic.Int64 }

func (h *highest) covers(position eventsourced.Position) bool {
	return int64(position) <= h.at.Load()
}

func (h *highest) raise(position eventsourced.Position) {
	for at := h.at.Load(); int64(position) > at && !h.at.CompareAndSwap(at, int64(position)); at = h.at.Load() {
	}
}
