package graph_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/dancefinder/eventsourcing/dancefinder/graph"
	"github.com/dancefinder/eventsourcing/dancefinder/graph/internal/compat"
)

// schema returns the schema as its sources have it.
func schema(t *testing.T) *ast.Schema {
	t.Helper()
	paths, err := filepath.Glob("schema/*.graphqls")
	require.NoError(t, err)
	var sources []*ast.Source
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		sources = append(sources, &ast.Source{Name: path, Input: string(text)})
	}
	return gqlparser.MustLoadSchema(sources...)
}

func TestSchemaIsCompatible(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("schema.graphql")
	require.NoError(t, err)
	last := gqlparser.MustLoadSchema(&ast.Source{Name: "schema.graphql", Input: string(text)})
	require.Empty(t, compat.Breaking(last, schema(t)), "the schema breaks clients of the last one, schema.graphql")
	require.Empty(t, compat.Breaking(schema(t), last), "schema.graphql does not have all of the schema: run go generate")
}

func TestEverythingIsDescribed(t *testing.T) {
	t.Parallel()
	var missing []string
	need := func(name, description string) {
		if len(strings.TrimSpace(description)) < 5 {
			missing = append(missing, name)
		}
	}
	for name, definition := range schema(t).Types {
		if definition.BuiltIn {
			continue
		}
		need(name, definition.Description)
		for _, field := range definition.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			need(name+"."+field.Name, field.Description)
			for _, argument := range field.Arguments {
				need(name+"."+field.Name+"("+argument.Name+")", argument.Description)
			}
		}
		for _, value := range definition.EnumValues {
			need(name+"."+value.Name, value.Description)
		}
	}
	require.Empty(t, missing)
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("documents/*.graphql")
	require.NoError(t, err)
	hashes := graph.Documents()
	require.Len(t, hashes, len(paths))
	a := newApp(t)
	trusted := a.serve(func(c *graph.Config) { c.TrustedDocuments = true })
	open := a.serve()
	persisted := func(hash string) map[string]any {
		return map[string]any{"persistedQuery": map[string]any{"version": 1, "sha256Hash": hash}}
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		name := strings.TrimSuffix(filepath.Base(path), ".graphql")
		document, errs := gqlparser.LoadQuery(schema(t), string(text))
		require.Empty(t, errs, path)
		require.Equal(t, name, document.Operations[0].Name)
		// Whole, and by its hash alone, it is answered by both.
		for _, url := range []string{trusted, open} {
			for _, q := range []ask{{url: url, query: string(text)}, {url: url, extensions: persisted(hashes[name])}} {
				got := a.ask(q)
				for _, err := range got.Errors {
					require.NotContains(t, []string{graph.CodePersistedRequired, graph.CodePersistedNotFound, graph.CodeBadRequest}, err.Extensions.Code, got.text)
				}
			}
		}
	}
	t.Run("nothing else is answered where only they are trusted", func(t *testing.T) {
		for _, query := range []string{`{ me { subject } }`, `{ __schema { types { name } } }`, `{ __typename }`, `query Me { me { subject } }`, ` `} {
			got := a.ask(ask{url: trusted, query: query})
			require.Equal(t, graph.CodePersistedRequired, got.code(t), query)
			require.Equal(t, 403, got.status)
		}
		got := a.ask(ask{url: trusted, query: `{ me { subject } }`, extensions: persisted(hashes["Me"])})
		require.Equal(t, graph.CodeBadRequest, got.code(t))
	})
	t.Run("a hash that is nobody's is not registered by whoever sends one", func(t *testing.T) {
		const unknown = "0000000000000000000000000000000000000000000000000000000000000000"
		for _, url := range []string{trusted, open} {
			require.Equal(t, graph.CodePersistedNotFound, a.ask(ask{url: url, extensions: persisted(unknown)}).code(t))
			require.Equal(t, graph.CodeBadRequest, a.ask(ask{url: url, extensions: map[string]any{"persistedQuery": "x"}}).code(t))
			require.Equal(t, graph.CodeBadRequest, a.ask(ask{url: url, body: `{}`}).code(t))
		}
	})
}
