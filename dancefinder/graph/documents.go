package graph

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// manifestFile is made of documents/*.graphql, in the format of Apollo's manifests.
//
//go:embed documents/manifest.json
var manifestFile []byte

type manifest struct {
	Operations []struct {
		ID   string `json:"id"` // SHA-256 of the body, in hexadecimal
		Name string `json:"name"`
		Body string `json:"body"`
	} `json:"operations"`
}

var trusted = sync.OnceValue(func() (m manifest) {
	if err := json.Unmarshal(manifestFile, &m); err != nil {
		panic("graph: documents/manifest.json: " + err.Error()) // it is part of the program
	}
	return m
})

var trustedBodies = sync.OnceValue(func() map[string]string {
	bodies := map[string]string{}
	for _, operation := range trusted().Operations {
		bodies[operation.ID] = operation.Body
	}
	return bodies
})

// Documents returns the hash of each document that can be asked for by it, by the name
// of its operation.
func Documents() map[string]string {
	hashes := map[string]string{}
	for _, operation := range trusted().Operations {
		hashes[operation.Name] = operation.ID
	}
	return hashes
}

// documents puts the document in place of its hash.
type documents struct{ only bool }

var _ graphql.OperationParameterMutator = documents{}

// ExtensionName implements [graphql.HandlerExtension].
func (documents) ExtensionName() string { return "Documents" }

// Validate implements [graphql.HandlerExtension].
func (documents) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters implements [graphql.OperationParameterMutator].
func (d documents) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	hash := ""
	if asked, given := params.Extensions["persistedQuery"]; given && asked != nil {
		members, _ := asked.(map[string]any)
		if hash, _ = members["sha256Hash"].(string); hash == "" {
			return refusal(CodeBadRequest, `The extension persistedQuery has to be such as {"version": 1, "sha256Hash": "..."}.`)
		}
	}
	if params.Query != "" {
		sum := sha256.Sum256([]byte(params.Query))
		of := hex.EncodeToString(sum[:])
		switch {
		case hash != "" && hash != of:
			return refusal(CodeBadRequest, "The hash is not that of the query.")
		case d.only && trustedBodies()[of] == "":
			requestOf(ctx).refuse(http.StatusForbidden)
			return refusal(CodePersistedRequired, "Only documents of the manifest are answered.")
		}
		return nil
	}
	if hash == "" {
		return refusal(CodeBadRequest, "There is no query.")
	}
	if params.Query = trustedBodies()[hash]; params.Query == "" {
		return refusal(CodePersistedNotFound, "There is no document with this hash.")
	}
	return nil
}
