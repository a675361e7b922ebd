package layout_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who opens a package has to find his way in it: one with many names says why it has them, and which are to be known.
func TestPackagesOfManyNamesSayWhy(t *testing.T) {
	t.Parallel()
	const most, reason = 50, "more than fifty names"
	names, documents := map[string]int{}, map[string]string{}
	files := token.NewFileSet()
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "internal/") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := filepath.Dir(path)
		names[dir] += exported(file)
		if file.Doc != nil {
			documents[dir] += strings.Join(strings.Fields(file.Doc.Text()), " ")
		}
		return nil
	})
	require.NoError(t, err)
	large := 0
	for dir, n := range names {
		if n > most {
			large++
			require.Contains(t, documents[dir], reason, "%s has %d exported names, without a reason in its doc.go", dir, n)
		}
	}
	require.NotZero(t, large)
}

// exported counts a file's exported names, without methods.
func exported(file *ast.File) (n int) {
	count := func(name *ast.Ident) {
		if name.IsExported() {
			n++
		}
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				count(d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					count(s.Name)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						count(name)
					}
				}
			}
		}
	}
	return n
}
