package layout_test

import (
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadmeShowsTheTestedExample(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("../../eventsourced/memstore/example_test.go")
	require.NoError(t, err)
	_, code, found := strings.Cut(string(example), "\n)\n\n") // after the imports
	require.True(t, found)
	require.Contains(t, string(readme), "```go\n"+code+"```\n")
}

func TestDocumentsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	tests := testNames(t, "../..")
	for _, name := range []string{"README.md", "docs/messaging.md", "docs/operating.md"} {
		text, err := os.ReadFile("../../" + name)
		require.NoError(t, err)
		for _, word := range strings.FieldsFunc(string(text), func(r rune) bool { return strings.ContainsRune("` \n|,.()", r) }) {
			if strings.HasPrefix(word, "Test") {
				require.True(t, tests[word], "%s names %s", name, word)
			}
		}
	}
}

// The walk of an event through the read side is told with the names of files.
func TestPackageDocumentsNameFilesThatExist(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"readview", "readview/internal/pipeline"} {
		text, err := os.ReadFile("../../" + dir + "/doc.go")
		require.NoError(t, err)
		named := 0
		for _, word := range strings.FieldsFunc(string(text), func(r rune) bool { return strings.ContainsRune("` \n\t,:;()", r) }) {
			word = strings.TrimRight(word, ".")
			if !strings.HasSuffix(word, ".go") && !strings.HasSuffix(word, ".sql") {
				continue
			}
			named++
			_, beside := os.Stat("../../" + dir + "/" + word)
			_, below := os.Stat("../../" + word)
			require.True(t, beside == nil || below == nil, "%s/doc.go names %s", dir, word)
		}
		require.NotZero(t, named)
	}
}

// testNames returns the names of all test functions below dir.
func testNames(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		source, err := fs.ReadFile(os.DirFS(dir), path)
		for line := range strings.Lines(string(source)) {
			if name, found := strings.CutPrefix(line, "func Test"); found {
				name, _, _ = strings.Cut(name, "(")
				names["Test"+name] = true
			}
		}
		return err
	})
	require.NoError(t, err)
	return names
}
