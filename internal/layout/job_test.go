package layout_test

import (
	"go/ast"
	"go/format"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a user writes for a context: gofmt'd, errors checked, without imports, DDL, blank lines, comments and
// business rules. What package job has is compiled, and its test runs it.
func TestLinesOfUserCode(t *testing.T) {
	t.Parallel()
	for program, most := range map[string]map[string]int{
		"oneevent":  {"domain": 13, "projection": 9, "wiring": 8},
		"twoevents": {"domain": 20, "projection": 12, "wiring": 8},
	} {
		for part, limit := range most {
			lines := linesOf(t, "../job/"+program+"/"+part+".go", part == "wiring")
			require.NotEmpty(t, lines)
			require.LessOrEqual(t, len(lines), limit, "%s of %s", part, program)
		}
	}
}

func TestLinesAreCountedRight(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/file.go"
	source := "// Package p.\npackage p\n\nimport \"fmt\"\n\n// F prints.\nfunc F() {\n\tfmt.Println(`a\n\n\tb`) // and that\n\t// not this\n}\n"
	require.NoError(t, os.WriteFile(file, []byte(source), 0o600))
	require.Len(t, linesOf(t, file, false), 5, "a statement counts with all of its lines")
	require.Len(t, linesOf(t, file, true), 3)
}

// linesOf returns the lines with code, without package and imports; of the body of the function that the
// file has if only that counts, as wiring may stand in main as well.
func linesOf(t *testing.T, path string, bodyOnly bool) map[int]bool {
	t.Helper()
	source, err := os.ReadFile(path) //nolint:gosec // ours
	require.NoError(t, err)
	formatted, err := format.Source(source)
	require.NoError(t, err)
	require.Equal(t, string(formatted), string(source), "gofmt")
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, 0)
	require.NoError(t, err)
	from, to := files.Position(file.Name.End()).Line, len(source)
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.GenDecl:
			if d.Tok == token.IMPORT {
				from = files.Position(d.End()).Line
			}
		case *ast.FuncDecl:
			if bodyOnly {
				require.Equal(t, len(source), to, "there is one function")
				from, to = files.Position(d.Body.Lbrace).Line, files.Position(d.Body.Rbrace).Line-1
			}
		}
	}
	lines := map[int]bool{}
	tokens := token.NewFileSet()
	added := tokens.AddFile(path, -1, len(source))
	var s scanner.Scanner
	s.Init(added, source, nil, 0)
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			return lines
		}
		first := added.Line(pos)
		last := first
		if tok == token.STRING {
			last += strings.Count(literal, "\n")
		}
		for line := first; line <= last; line++ {
			if line > from && line <= to {
				lines[line] = true
			}
		}
	}
}
