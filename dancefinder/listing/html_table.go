package listing

// table is one that is open. A cell may take several columns and rows, as a browser
// shows it.
type table struct {
	row   bool // whether one is open
	line  int  // of the row
	outer bool // whether the row has a table within it
	cells []string

	carried []bool // which cells of the row belong to one above; nil if none do
	above   []span // by column, what goes on from the rows above

	cell       *buffer // of the open cell, if any
	cols, rows int     // how many it takes
}

// span is a cell of several rows.
type span struct {
	text string
	left int // rows
}

func (p *page) table() *table {
	if len(p.tables) == 0 {
		return nil
	}
	return &p.tables[len(p.tables)-1]
}

func (p *page) inCell() bool {
	t := p.table()
	return t != nil && t.cell != nil
}

func (p *page) openRow() {
	if t := p.table(); t != nil && !t.row {
		*t = table{row: true, line: p.line, above: t.above}
	}
}

func (p *page) closeCell() {
	t := p.table()
	if t == nil || t.cell == nil {
		return
	}
	t.carry(len(t.cells), false)
	text := string(t.cell.text)
	for range t.cols {
		if len(t.cells) > MaxColumns {
			break
		}
		if t.rows > 1 {
			for len(t.above) <= len(t.cells) {
				t.above = append(t.above, span{})
			}
			t.above[len(t.cells)] = span{text, t.rows - 1}
		}
		t.cells = append(t.cells, text)
		text = ""
	}
	t.cell = nil
}

// carry adds the cells of rows above that come next, or all that are left.
func (t *table) carry(at int, all bool) {
	for ; at < len(t.above) && len(t.cells) <= MaxColumns; at++ {
		from := &t.above[at]
		if from.left == 0 && !all {
			return
		}
		if from.left > 0 {
			from.left--
			for len(t.carried) <= at {
				t.carried = append(t.carried, false)
			}
			t.carried[at] = true
		}
		t.cells = append(t.cells, from.text)
		if from.left == 0 {
			*from = span{}
		}
	}
}

func (p *page) closeRow() {
	p.closeCell()
	t := p.table()
	if t == nil || !t.row {
		return
	}
	last := len(t.above)
	for last > 0 && t.above[last-1].left == 0 {
		last--
	}
	t.above = t.above[:last]
	t.carry(len(t.cells), true)
	p.emit(record{kind: tableRow, line: t.line, depth: len(p.tables), outer: t.outer, cells: t.cells, carried: t.carried})
	t.row = false
}

// closeGroup ends a head, body or foot, and the cells that go on through its rows.
func (p *page) closeGroup() {
	p.closeRow()
	if t := p.table(); t != nil {
		t.above = nil
	}
}

// closeTables closes tables until n are open.
func (p *page) closeTables(n int) {
	for len(p.tables) > n {
		p.closeRow()
		p.emit(record{kind: tableEnd, line: p.line, depth: len(p.tables)})
		p.tables = p.tables[:len(p.tables)-1]
	}
}
