package listing

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

var (
	errLongRow  = fmt.Errorf("expected a row of at most %d bytes", MaxRecord)
	errUnclosed = errors.New("a quote is opened and not closed")
	errCutRow   = errors.New("the file ends within the row: it may be cut off")
)

// separator is the line with which Excel tells how the others are separated.
var separator = regexp.MustCompile(`^"?sep=([\t -!#-~])"?[;,\t]*\r?\n?$`)

// delimiter guesses the delimiter of a CSV listing: the one with which a line names
// most columns.
func delimiter(head []byte) byte {
	best, most := byte(','), 0
	for line := range bytes.Lines(head) {
		if !bytes.Contains(bytes.ToLower(line), []byte("datum")) {
			continue
		}
		for _, d := range []byte(",;\t|") {
			cells, _, _ := split(string(bytes.TrimRight(line, "\r\n")), d)
			_ = cleanCells(cells)
			if n := findColumns(cells).named(); n > most {
				best, most = d, n
			}
		}
	}
	return best
}

// readCSV yields the rows of CSV. A quoted cell may have line breaks in it; if its
// quote is not closed, or only by what seems to be another row's, that row is bad
// and the next line begins a row.
func readCSV(in *bufio.Reader, head []byte, yield func(record, error) bool) {
	rows := csvReader{lines: lines{in: in, end: '\n'}, delimiter: delimiter(head)}
	if !bytes.Contains(head, []byte("\n")) && bytes.Contains(head, []byte("\r")) {
		rows.lines.end = '\r'
	}
	for {
		rec, err := rows.next()
		if err == io.EOF {
			return
		}
		if err != nil {
			yield(record{}, fmt.Errorf("after line %d: %w", rows.line, err))
			return
		}
		if len(rec.cells) == 1 && rec.cells[0] == "" && rec.err == nil {
			continue
		}
		if !yield(rec, nil) {
			return
		}
	}
}

type csvReader struct {
	lines     lines
	line      int // the last one that was read
	delimiter byte
	width     int // cells of the header, 0 before it
}

// next returns the next row.
func (r *csvReader) next() (record, error) {
	size, err := r.lines.until(0)
	if errors.Is(err, ErrTooLong) {
		r.line++
		return record{line: r.line, err: errLongRow}, r.lines.skip()
	}
	if err != nil {
		return record{}, err
	}
	first := string(r.lines.text(size))
	if m := separator.FindStringSubmatch(first); m != nil && r.line == 0 {
		r.delimiter = m[1][0]
		r.take(size, 1)
		return record{line: 1}, nil
	}
	cells, open, bad := split(r.trim(first), r.delimiter)
	taken := 1
	if open {
		all, more, err := r.quoted(first)
		if err != nil {
			return record{}, err
		}
		if all != nil {
			cells, taken, size, open = all, more, r.lines.size, false
		}
	}
	rec := record{line: r.line + 1, cells: cells, err: cleanCells(cells)}
	ended := r.lines.text(size)[size-1] == r.lines.end
	r.take(size, taken)
	switch {
	case open:
		rec.err = fmt.Errorf("bad CSV: %w", errUnclosed)
	case bad != nil:
		rec.err = bad
	case !ended && len(cells) < r.width && rec.err == nil:
		rec.err = errCutRow
	}
	if r.width == 0 && findColumns(rec.cells).complete() {
		r.width = len(rec.cells)
	}
	return rec, nil
}

// quoted returns the cells of a row that begins with a line whose last quote is open,
// and its number of lines; none if it does not end as it should.
func (r *csvReader) quoted(row string) (cells []string, lines int, err error) {
	for lines = 2; ; lines++ {
		size, err := r.lines.until(len(row))
		if errors.Is(err, io.EOF) || errors.Is(err, ErrTooLong) {
			return nil, 0, nil
		}
		if err != nil {
			return nil, 0, err
		}
		long := size-len(row) > MaxCell
		row = string(r.lines.text(size))
		cells, open, bad := split(r.trim(row), r.delimiter)
		switch {
		case bad != nil || long || open && len(cells[len(cells)-1]) > MaxCell:
			return nil, 0, nil
		case !open && r.swallows(cells):
			return nil, 0, nil
		case !open:
			r.lines.size = size
			return cells, lines, nil
		}
	}
}

// swallows tells whether a cell has lines that seem to be other rows.
func (r *csvReader) swallows(cells []string) bool {
	for _, cell := range cells {
		for line := range strings.SplitSeq(cell, string(r.lines.end)) {
			parts := strings.Split(line, string(r.delimiter))
			if len(line) == len(cell) {
				break
			}
			for i := range parts {
				parts[i] = domain.Clean(strings.Trim(parts[i], `"`))
			}
			if len(parts) >= len(Columns())/2 && (hasDate(parts) || slices.ContainsFunc(parts, isState)) {
				return true
			}
		}
	}
	return false
}

func (r *csvReader) take(size, lines int) {
	r.lines.take(size)
	r.line += lines
}

// trim cuts off the end of the last line.
func (r *csvReader) trim(row string) string {
	return strings.TrimSuffix(strings.TrimSuffix(row, string(r.lines.end)), "\r")
}

// split returns the cells of a row. open tells that the last one's quote is not
// closed; an error, that the rest of the row is not understood.
func split(row string, delimiter byte) (cells []string, open bool, err error) {
	for at := 0; ; {
		rest := row[at:]
		if !strings.HasPrefix(rest, `"`) {
			end := strings.IndexByte(rest, delimiter)
			if end < 0 {
				end = len(rest)
			}
			if quote := strings.IndexByte(rest[:end], '"'); quote >= 0 {
				return cells, false, fmt.Errorf("bad CSV in column %d: %w", at+quote+1, csv.ErrBareQuote)
			}
			cells = append(cells, rest[:end])
			if at += end; at == len(row) {
				return cells, false, nil
			}
			at++
			continue
		}
		end := 1
		for {
			quote := strings.IndexByte(rest[end:], '"')
			if quote < 0 {
				return append(cells, rest[1:]), true, nil
			}
			if end += quote + 1; !strings.HasPrefix(rest[end:], `"`) {
				break
			}
			end++
		}
		cells = append(cells, strings.ReplaceAll(rest[1:end-1], `""`, `"`))
		if at += end; at == len(row) {
			return cells, false, nil
		}
		if row[at] != delimiter {
			return cells[:len(cells)-1], false, fmt.Errorf("bad CSV in column %d: %w", at, csv.ErrQuote)
		}
		at++
	}
}
