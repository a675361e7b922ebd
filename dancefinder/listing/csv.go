package listing

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
)

// delimiter guesses the delimiter of a CSV listing from the line that names
// the columns: the one that is there most often.
func delimiter(head []byte) rune {
	best, most := ',', 0
	for line := range bytes.Lines(head) {
		if !bytes.Contains(bytes.ToLower(line), []byte("datum")) {
			continue
		}
		for _, d := range ",;\t" {
			if n := bytes.Count(line, []byte(string(d))); n > most {
				best, most = d, n
			}
		}
		break
	}
	return best
}

func readCSV(r io.Reader, delimiter rune, yield func(record, error) bool) {
	budget := &budgetReader{r: r}
	in := csv.NewReader(budget)
	in.Comma = delimiter
	in.FieldsPerRecord = -1
	in.ReuseRecord = true
	line := 0
	for {
		budget.left = MaxRecord
		cells, err := in.Read()
		if err == io.EOF {
			return
		}
		rec := record{cells: cells}
		if bad, ok := errors.AsType[*csv.ParseError](err); ok {
			rec.line, rec.err = bad.StartLine, fmt.Errorf("bad CSV in column %d: %w", bad.Column, bad.Err)
		} else if err != nil {
			yield(record{}, fmt.Errorf("after line %d: %w", line, err))
			return
		} else {
			rec.line, _ = in.FieldPos(0)
			rec.err = cleanCells(cells)
		}
		line = rec.line
		if !yield(rec, nil) {
			return
		}
	}
}

// budgetReader fails once more was read than is left. It bounds a record whose
// quote is never closed, which csv.Reader would read to the end of the file.
type budgetReader struct {
	r    io.Reader
	left int
}

func (b *budgetReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("row of more than %d bytes, is a quote not closed? %w", MaxRecord, ErrTooLong)
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
