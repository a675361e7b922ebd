package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

// asset is a file of the page. Its URL has its hash, so that browsers may keep it.
type asset struct {
	content, zipped []byte
	kind, hash      string
}

var kinds = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png",
}

func readAssets(dir fs.FS) (map[string]asset, error) {
	assets := map[string]asset{}
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		content, err := fs.ReadFile(dir, entry.Name())
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(content)
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		if _, err := z.Write(content); err != nil {
			return nil, err
		}
		if err := z.Close(); err != nil {
			return nil, err
		}
		assets[entry.Name()] = asset{content, zipped.Bytes(), kinds[path.Ext(entry.Name())], base64.RawURLEncoding.EncodeToString(sum[:9])}
	}
	return assets, nil
}

// assetURL returns the URL of a file of the page.
func (h *handler) assetURL(name string) string { return "/static/" + name + "?" + h.assets[name].hash }

func (h *handler) static(w http.ResponseWriter, r *http.Request) {
	a, ok := h.assets[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	header.Set("Content-Type", a.kind)
	header.Set("ETag", `"`+a.hash+`"`)
	header.Set("Cache-Control", "no-cache")
	if r.URL.RawQuery == a.hash {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	content := a.content
	header.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r) {
		header.Set("Content-Encoding", "gzip")
		header.Set("ETag", `"`+a.hash+`-gzip"`)
		content = a.zipped
	}
	if match := r.Header.Get("If-None-Match"); match != "" && match == header.Get("ETag") {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(content)
}

func acceptsGzip(r *http.Request) bool {
	for _, coding := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return strings.Trim(strings.ReplaceAll(quality, " ", ""), "q=0.") != "" || quality == ""
		}
	}
	return false
}

var zippers = sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}

// compress zips pages and calendars for those who can unzip them.
//
// A page has no secret beside what its reader has sent, so its length tells nobody anything: the
// calendar's link, the only one, is on a page that shows nothing from the URL as it stands.
func compress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept-Encoding")
		if !acceptsGzip(r) {
			next.ServeHTTP(w, r)
			return
		}
		z := &zipWriter{ResponseWriter: w}
		defer z.close()
		next.ServeHTTP(z, r)
	})
}

// zipWriter decides at the header whether its body is worth zipping.
type zipWriter struct {
	http.ResponseWriter
	z       *gzip.Writer
	decided bool
}

// Unwrap is for http.ResponseController.
func (w *zipWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *zipWriter) WriteHeader(status int) {
	header := w.Header()
	kind, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	if !w.decided && header.Get("Content-Encoding") == "" && (kind == "text/html" || kind == "text/calendar" || kind == "application/json") {
		header.Set("Content-Encoding", "gzip")
		header.Del("Content-Length")
		w.z = zippers.Get().(*gzip.Writer)
		w.z.Reset(w.ResponseWriter)
	}
	w.decided = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *zipWriter) Write(b []byte) (int, error) {
	if !w.decided {
		w.WriteHeader(http.StatusOK)
	}
	if w.z != nil {
		return w.z.Write(b)
	}
	return w.ResponseWriter.Write(b)
}

func (w *zipWriter) close() {
	if w.z != nil {
		_ = w.z.Close()
		zippers.Put(w.z)
	}
}

// suggestions answers with names of places for what somebody is typing.
func (h *handler) suggestions(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("q")
	names := []string{}
	if len(text) <= 100 && readable(text) {
		names = append(names, suggest(text)...)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_ = json.NewEncoder(w).Encode(names)
}
