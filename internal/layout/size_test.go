package layout_test

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// A file of one thing is read in one go: nine of ten are that short, as CONTRIBUTING.md has it.
func TestNineFilesOfTenAreShort(t *testing.T) {
	t.Parallel()
	const short, shown = 250, 10
	type file struct {
		path  string
		lines int
	}
	var all, long []file
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		source, err := os.ReadFile(path) //nolint:gosec // ours
		if err != nil || generated.Match(source) {
			return err
		}
		f := file{strings.TrimPrefix(filepath.ToSlash(path), "../../"), strings.Count(string(source), "\n")}
		all = append(all, f)
		if f.lines > short {
			long = append(long, f)
		}
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, all)
	slices.SortFunc(long, func(a, b file) int { return cmp.Or(cmp.Compare(b.lines, a.lines), cmp.Compare(a.path, b.path)) })
	var longest strings.Builder
	for _, f := range long[:min(shown, len(long))] {
		fmt.Fprintf(&longest, "\n%5d %s", f.lines, f.path)
	}
	require.LessOrEqual(t, len(long), len(all)/10, "of %d files, these have more than %d lines; the longest:%s", len(all), short, &longest)
}
