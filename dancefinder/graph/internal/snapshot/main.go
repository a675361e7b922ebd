// Command snapshot writes what is derived of the schema and the documents: schema.graphql,
// which is the last schema that clients know, and documents/manifest.json. It is run in the
// folder of package graph, by go generate. It does not write a schema that breaks clients
// of the one that is there, unless it is told to by -breaking.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"

	"github.com/dancefinder/eventsourcing/dancefinder/graph/internal/compat"
)

func main() {
	breaking := flag.Bool("breaking", false, "write a schema that breaks clients")
	flag.Parse()
	if err := run(*breaking); err != nil {
		fmt.Fprintln(os.Stderr, "snapshot:", err)
		os.Exit(1)
	}
}

func run(breaking bool) error {
	current, err := load("schema/*.graphqls")
	if err != nil {
		return err
	}
	if old, err := load("schema.graphql"); err == nil && !breaking {
		if found := compat.Breaking(old, current); len(found) > 0 {
			return errors.New("the schema breaks clients of schema.graphql:\n\t" + strings.Join(found, "\n\t"))
		}
	}
	var text bytes.Buffer
	formatter.NewFormatter(&text, formatter.WithIndent("  ")).FormatSchema(current)
	if err := os.WriteFile("schema.graphql", text.Bytes(), 0o644); err != nil {
		return err
	}
	return writeManifest(current)
}

func load(pattern string) (*ast.Schema, error) {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	var sources []*ast.Source
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		sources = append(sources, &ast.Source{Name: path, Input: string(text)})
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("there is no %s", pattern)
	}
	return gqlparser.LoadSchema(sources...)
}

type operation struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
	Body string `json:"body"`
}

func writeManifest(schema *ast.Schema) error {
	paths, err := filepath.Glob("documents/*.graphql")
	if err != nil {
		return err
	}
	all := struct {
		Format     string      `json:"format"`
		Version    int         `json:"version"`
		Operations []operation `json:"operations"`
	}{Format: "apollo-persisted-query-manifest", Version: 1}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		document, errs := gqlparser.LoadQuery(schema, string(text))
		if len(errs) > 0 {
			return fmt.Errorf("%s: %w", path, errs)
		}
		if name := strings.TrimSuffix(filepath.Base(path), ".graphql"); len(document.Operations) != 1 || document.Operations[0].Name != name {
			return fmt.Errorf("%s: it has to be one operation, called %s", path, name)
		}
		sum := sha256.Sum256(text)
		of := document.Operations[0]
		all.Operations = append(all.Operations, operation{hex.EncodeToString(sum[:]), of.Name, string(of.Operation), string(text)})
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile("documents/manifest.json", append(text, '\n'), 0o644)
}
