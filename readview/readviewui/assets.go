package readviewui

import (
	"crypto/sha256"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
)

// asset is a file of the page. Its URL has its hash, so that browsers may keep it.
type asset struct {
	content    []byte
	kind, hash string
}

var kinds = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

func readAssets() (map[string]asset, error) {
	assets := map[string]asset{}
	entries, err := fs.ReadDir(files, "static")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		content, err := fs.ReadFile(files, "static/"+entry.Name())
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(content)
		assets[entry.Name()] = asset{content, kinds[path.Ext(entry.Name())], base64.RawURLEncoding.EncodeToString(sum[:9])}
	}
	return assets, nil
}

// assetURL returns the URL of a file of the page.
func (h *Handler) assetURL(name string) string { return name + "?" + h.assets[name].hash }

func (h *Handler) static(w http.ResponseWriter, r *http.Request) {
	a, ok := h.assets[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "no-cache")
	if r.URL.RawQuery == a.hash {
		w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	_, _ = w.Write(a.content)
}
