package graph

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
)

// graphiqlFiles are GraphiQL and React as npm has them, compressed, see
// graphiql/update.sh and NOTICE; and the page that is around them.
//
//go:embed graphiql/*.gz graphiql/*.js graphiql/*.css graphiql/index.html
var graphiqlFiles embed.FS

// graphiqlPolicy allows what GraphiQL needs: its own files, fonts and pictures that are
// in its style sheet, and the endpoint.
const graphiqlPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; font-src data:; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// GraphiQL returns a page to try GraphQL in, for development, which asks the endpoint:
// the path of [NewHandler]'s handler, on the same server. Nothing is loaded from elsewhere.
// It is for a path that ends with a slash, such as "/graphiql/".
func GraphiQL(endpoint string) http.Handler {
	page := template.Must(template.ParseFS(graphiqlFiles, "graphiql/index.html"))
	var index bytes.Buffer
	if err := page.Execute(&index, endpoint); err != nil {
		panic("graph: " + err.Error()) // the page is part of the program
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", graphiqlPolicy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-cache")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			header.Set("Allow", "GET, HEAD")
			http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/") || r.URL.Path == "" {
			header.Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write(index.Bytes()) // nothing to do for a client that is gone
			return
		}
		serveFile(w, r, path.Base(r.URL.Path))
	})
}

// serveFile answers with one of the files, compressed where that is understood.
func serveFile(w http.ResponseWriter, r *http.Request, name string) {
	content, err := graphiqlFiles.ReadFile("graphiql/" + name)
	if compressed, gzErr := graphiqlFiles.ReadFile("graphiql/" + name + ".gz"); gzErr == nil {
		content, err = compressed, nil
		w.Header().Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
		} else {
			content, err = decompress(content)
		}
	}
	if err != nil || path.Ext(name) == ".gz" || path.Ext(name) == ".html" {
		http.NotFound(w, r)
		return
	}
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("ETag", tag)
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(content) // nothing to do for a client that is gone
}

func decompress(content []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader)
}
