package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Times of the provider's keys.
const (
	keysFresh = 15 * time.Minute // a key that the provider takes back counts for so long
	keysStale = 24 * time.Hour   // and for so long when the provider can't be asked
	keysAgain = 10 * time.Second // between two looks for keys that are not known
)

// keySet is the provider's keys. That of go-oidc fetches them for each token whose key it does not know,
// so whoever sends garbage has the provider asked, and never forgets a key that was taken back.
type keySet struct {
	url    string
	client *http.Client
	now    func() time.Time
	turn   chan struct{} // held by the one who fetches

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time
	tried   time.Time
	err     error // of the last try
}

func newKeySet(url string, client *http.Client, now func() time.Time) *keySet {
	return &keySet{url: url, client: client, now: now, turn: make(chan struct{}, 1)}
}

// VerifySignature returns the payload of a token that one of the keys has signed. Keys that the token
// brings along don't count. The errors are errWrong or [ErrUnavailable].
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	pinned := make([]jose.SignatureAlgorithm, len(algorithms))
	for i, name := range algorithms {
		pinned[i] = jose.SignatureAlgorithm(name)
	}
	signed, err := jose.ParseSignedCompact(token, pinned)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWrong, err)
	}
	keys, age := k.known()
	if age >= keysFresh {
		fresh, err := k.fetch(ctx)
		if err != nil && age >= keysStale {
			return nil, err
		}
		if err == nil {
			keys = fresh
		}
	}
	if payload, ok := verifyWith(keys, signed); ok {
		return payload, nil
	}
	if keys, err = k.fetch(ctx); err != nil {
		return nil, err
	}
	if payload, ok := verifyWith(keys, signed); ok {
		return payload, nil
	}
	return nil, fmt.Errorf("%w: no key of the provider has signed it", errWrong)
}

func verifyWith(keys []jose.JSONWebKey, signed *jose.JSONWebSignature) ([]byte, bool) {
	header := signed.Signatures[0].Header
	for _, key := range keys {
		if header.KeyID != "" && key.KeyID != header.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := signed.Verify(key.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// known returns the keys, and how long ago they were fetched.
func (k *keySet) known() ([]jose.JSONWebKey, time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fetched.IsZero() {
		return nil, keysStale
	}
	return k.keys, k.now().Sub(k.fetched)
}

// fetch returns the keys as the provider has them now, or had them a moment ago: it is asked once
// at a time, and not again so soon.
func (k *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	k.mu.Lock()
	keys, err, recent := k.keys, k.err, k.now().Sub(k.tried) < keysAgain
	k.mu.Unlock()
	if recent {
		return keys, err
	}
	// Who asked may go away; the others want the answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), providerTimeout)
	defer cancel()
	keys, err = k.get(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err, k.tried = err, k.now()
	if err == nil {
		k.keys, k.fetched = keys, k.tried
	}
	return keys, err
}

func (k *keySet) get(ctx context.Context) ([]jose.JSONWebKey, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	response, err := k.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer func() { _ = response.Body.Close() }() // read, or given up
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New("its keys: " + response.Status)
	}
	// One key that is not understood must not take the others with it.
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err == nil {
		err = json.Unmarshal(body, &set)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		// A secret that was published is none, and a key for encryption signs nothing.
		if json.Unmarshal(raw, &key) == nil && key.Valid() && key.IsPublic() && key.Use != "enc" {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// boundedClient is client with bounds of what the provider may take and send.
func boundedClient(client *http.Client) *http.Client {
	if client == nil {
		client = &http.Client{}
	}
	bounded := *client
	if bounded.Timeout == 0 {
		bounded.Timeout = providerTimeout
	}
	if bounded.Transport == nil {
		bounded.Transport = http.DefaultTransport
	}
	bounded.Transport = boundedTransport{bounded.Transport}
	return &bounded
}

type boundedTransport struct{ next http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, providerAnswer)
	}
	return response, err
}
