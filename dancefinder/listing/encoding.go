package listing

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// errNotUTF8 is about a cell of a listing whose other text is in UTF-8.
var errNotUTF8 = errors.New("expected text in UTF-8")

const howToConvert = "convert it, as with iconv -f %s -t UTF-8 FILE"

// foreign are the beginnings of what is no text, with what to do about it.
var foreign = []struct{ beginning, problem string }{
	{"PK\x03\x04", "it is a workbook or an archive: save its table as CSV UTF-8"},
	{"\xd0\xcf\x11\xe0", "it is a workbook of an old Excel: save its table as CSV UTF-8"},
	{"%PDF", "it is a PDF: ask for the listing as a table"},
	{"\x1f\x8b", "it is compressed: unpack it with gunzip"},
	{"\xff\xfe\x00\x00", "it is in UTF-32: " + fmt.Sprintf(howToConvert, "UTF-32")},
	{"\x00\x00\xfe\xff", "it is in UTF-32: " + fmt.Sprintf(howToConvert, "UTF-32")},
}

// declared are the encodings that a page may say it has, besides UTF-8.
var declared = map[string]*charmap.Charmap{
	"iso-8859-1": charmap.Windows1252, // as browsers have it
	"latin1":     charmap.Windows1252, "us-ascii": charmap.Windows1252, "ascii": charmap.Windows1252,
	"windows-1252": charmap.Windows1252, "cp1252": charmap.Windows1252,
	"iso-8859-15": charmap.ISO8859_15, "latin9": charmap.ISO8859_15,
}

var declaration = regexp.MustCompile(`(?i)<(?:meta|\?xml)\b[^>]*?(?:charset|encoding)\s*=\s*["']?([\w.:-]+)`)

// charset is how the bytes of a listing are read.
type charset struct {
	label   string // what the listing says of itself, in lower case; "" for nothing
	guessed bool   // as Windows-1252, without a word about it
}

// explain adds what may be wrong where no listing is found.
func (c charset) explain(err *HeaderError) *HeaderError {
	if c.guessed && err.Err == nil {
		err.Err = fmt.Errorf("%w: it is not in UTF-8 and was read as Windows-1252; if it is in another encoding, "+howToConvert, ErrEncoding, "CP850")
	}
	return err
}

// decode returns the text of r in UTF-8, without a byte order mark.
func decode(r io.Reader, charset *charset) (io.Reader, error) {
	in := bufio.NewReaderSize(r, MaxRecord)
	head, err := in.Peek(MaxRecord)
	if err != nil && err != io.EOF {
		return nil, err
	}
	for _, f := range foreign {
		if bytes.HasPrefix(head, []byte(f.beginning)) {
			return nil, fmt.Errorf("%w: %s", ErrEncoding, f.problem)
		}
	}
	skip := func(mark string) bool {
		if !bytes.HasPrefix(head, []byte(mark)) {
			return false
		}
		_, _ = in.Discard(len(mark)) // can't fail: it was peeked
		return true
	}
	utf16 := func(order unicode.Endianness) (io.Reader, error) {
		return transform.NewReader(in, unicode.UTF16(order, unicode.IgnoreBOM).NewDecoder()), nil
	}
	switch little, big := pairs(head); {
	case skip("\ufeff"):
		return in, nil // says so
	case skip("\xff\xfe"), little:
		return utf16(unicode.LittleEndian)
	case skip("\xfe\xff"), big:
		return utf16(unicode.BigEndian)
	}
	if m := declaration.FindSubmatch(head[:min(len(head), 4<<10)]); m != nil {
		charset.label = strings.ToLower(string(m[1]))
	}
	return &guess{in: in, charset: charset}, nil
}

// pairs tells whether text is certainly UTF-16 without a byte order mark: nearly all
// letters of a listing have a zero byte there, and no text has one elsewhere.
func pairs(head []byte) (little, big bool) {
	head = head[:min(len(head), 4<<10)/2*2]
	var first, second, both int
	for i := 0; i < len(head); i += 2 {
		switch zero, other := head[i] == 0, head[i+1] == 0; {
		case zero && other:
			both++
		case zero:
			first++
		case other:
			second++
		}
	}
	most := len(head) / 2 * 9 / 10
	certain := len(head) >= 8 && both == 0
	return certain && first == 0 && second >= most, certain && second == 0 && first >= most
}

// guess reads text that does not say how it is encoded. The first letter that is not
// in ASCII, with what follows it, decides.
type guess struct {
	in      *bufio.Reader
	charset *charset
	decided io.Reader
}

func (g *guess) Read(p []byte) (int, error) {
	if g.decided != nil {
		return g.decided.Read(p)
	}
	if _, err := g.in.Peek(1); err != nil {
		return 0, err
	}
	ready, _ := g.in.Peek(min(g.in.Buffered(), len(p))) // can't fail: it is there
	plain := bytes.IndexFunc(ready, func(r rune) bool { return r >= utf8.RuneSelf })
	if plain < 0 {
		plain = len(ready)
	}
	if plain > 0 {
		copy(p, ready[:plain])
		_, _ = g.in.Discard(plain)
		return plain, nil
	}
	if err := g.decide(); err != nil {
		return 0, err
	}
	return g.decided.Read(p)
}

func (g *guess) decide() error {
	window, err := g.in.Peek(MaxRecord)
	if err != nil && err != io.EOF {
		return err
	}
	good, bad := 0, 0
	for len(window) > 0 && (err == io.EOF || utf8.FullRune(window)) {
		r, size := utf8.DecodeRune(window)
		switch {
		case r == utf8.RuneError && size == 1:
			bad++
		case r >= utf8.RuneSelf:
			good++
		}
		window = window[size:]
	}
	if good*10 >= bad { // mostly: what is not is an error where it stands
		g.decided = g.in
		return nil
	}
	var decoder encoding.Encoding = charmap.Windows1252
	switch known, ok := declared[g.charset.label]; {
	case ok:
		decoder = known
	case g.charset.label == "" || g.charset.label == "utf-8" || g.charset.label == "utf8":
		g.charset.guessed = true
	default:
		return fmt.Errorf("%w: it says that it is in %s: "+howToConvert, ErrEncoding, g.charset.label, strings.ToUpper(g.charset.label))
	}
	g.decided = transform.NewReader(g.in, decoder.NewDecoder())
	return nil
}
