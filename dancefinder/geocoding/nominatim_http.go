package geocoding

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

// maxResponse is the limit of a response in bytes. One place has about a thousand.
const maxResponse = 1 << 20

// How long to leave a server alone that does not say it, and at most.
const (
	pauseWhenLimited = time.Minute
	pauseWhenBlocked = time.Hour // 403 is for those who did not heed 429
	maxPause         = 24 * time.Hour
)

// request makes one request, and returns what [Geocoder] says.
func (n *Nominatim) request(ctx context.Context, text, codes string) (Result, error) {
	timed, cancel := context.WithTimeout(ctx, n.config.Timeout)
	defer cancel()
	address := *n.search
	parameters := url.Values{
		"q":               {text},
		"format":          {"jsonv2"},
		"limit":           {"1"},
		"accept-language": {"sv"},
	}
	if codes != "" {
		parameters.Set("countrycodes", codes)
	}
	address.RawQuery = parameters.Encode()
	request, err := http.NewRequestWithContext(timed, http.MethodGet, address.String(), http.NoBody)
	if err != nil {
		return Result{}, err
	}
	request.Header.Set("User-Agent", "DanceFinder ("+n.config.Contact+")")
	request.Header.Set("Accept", "application/json")
	response, err := n.client.Do(request)
	if err != nil {
		return Result{}, failure(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponse+1))
	if response.StatusCode != http.StatusOK {
		return Result{}, refusal(response, body, time.Now()) // with as much of the body as there is
	}
	switch {
	case err != nil:
		return Result{}, failure(ctx, err)
	case len(body) > maxResponse:
		return Result{}, fmt.Errorf("%w: more than %d bytes", ErrBadResponse, maxResponse)
	}
	return decode(body)
}

// failure returns the error of a request that got no answer.
func failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err // the caller's wish, not the provider's fault
	}
	return fmt.Errorf("%w: %w", ErrTemporary, err)
}

// refusal returns the error for a status other than 200.
func refusal(response *http.Response, body []byte, now time.Time) error {
	after, ok := retryAfter(response.Header, now)
	switch code := response.StatusCode; {
	case code == http.StatusServiceUnavailable && ok:
		return &RateLimitedError{RetryAfter: after}
	case code == http.StatusTooManyRequests:
		if !ok {
			after = pauseWhenLimited
		}
		return &RateLimitedError{RetryAfter: after}
	case code == http.StatusForbidden:
		return &RateLimitedError{RetryAfter: max(after, pauseWhenBlocked)}
	case code >= 500, code == http.StatusRequestTimeout:
		return fmt.Errorf("%w: %s", ErrTemporary, response.Status)
	}
	said := []rune(line(string(body)))
	return fmt.Errorf("%w: %s: %s", ErrBadResponse, response.Status, string(said[:min(len(said), 200)]))
}

// retryAfter returns what the header Retry-After says, in seconds or as a date: at
// least a second and at most [maxPause].
func retryAfter(header http.Header, now time.Time) (time.Duration, bool) {
	value := strings.TrimSpace(header.Get("Retry-After"))
	seconds, err := strconv.ParseUint(value, 10, 64)
	switch {
	case err == nil:
		return time.Duration(min(max(seconds, 1), uint64(maxPause/time.Second))) * time.Second, true
	case errors.Is(err, strconv.ErrRange):
		return maxPause, true
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date // the server's clock, for a date of the server
	}
	return min(max(until.Sub(now), time.Second), maxPause), true
}

// place is what a jsonv2 response says of a place, as far as it matters here.
type place struct {
	Latitude    json.Number `json:"lat"` // in quotes, usually
	Longitude   json.Number `json:"lon"`
	Category    string      `json:"category"`
	AddressType string      `json:"addresstype"`
	Rank        int         `json:"place_rank"`
	DisplayName string      `json:"display_name"`
}

// decode reads a response: the first place in it, [ErrNotFound] when there is
// none, [ErrBadResponse] when it is not of the form that Nominatim documents.
func decode(body []byte) (Result, error) {
	var places *[]place
	if err := json.Unmarshal(body, &places); err != nil {
		return Result{}, fmt.Errorf("%w: not the JSON of places: %w", ErrBadResponse, err)
	}
	if places == nil {
		return Result{}, fmt.Errorf("%w: null", ErrBadResponse)
	}
	if len(*places) == 0 {
		return Result{}, ErrNotFound
	}
	first := (*places)[0]
	latitude, latErr := first.Latitude.Float64()
	longitude, lonErr := first.Longitude.Float64()
	if err := errors.Join(latErr, lonErr); err != nil {
		return Result{}, fmt.Errorf("%w: no coordinate: %w", ErrBadResponse, err)
	}
	at, err := domain.NewCoordinate(latitude, longitude)
	if err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrBadResponse, err)
	}
	precision, err := first.precision()
	if err != nil {
		return Result{}, err
	}
	return Result{Coordinate: at, Precision: precision, Source: domain.SourceNominatim, Matched: line(first.DisplayName)}, nil
}

// precision tells what the place is, by its rank (the smaller, the larger it is)
// and its kind.
func (p place) precision() (domain.Precision, error) {
	switch {
	case p.Rank < 1 || p.Rank > 30:
		return "", fmt.Errorf("%w: place_rank is %d, want 1 to 30", ErrBadResponse, p.Rank)
	case p.Rank < 5: // a country, or more
		return "", ErrNotFound
	case p.Rank >= 28 || isVenue[p.Category]: // a park may have the rank of a quarter
		return domain.PrecisionVenue, nil
	case p.Rank <= 12:
		return domain.PrecisionCounty, nil
	case p.Rank <= 15 || p.AddressType == "municipality":
		return domain.PrecisionMunicipality, nil
	}
	return domain.PrecisionCity, nil
}

// isVenue has the categories of places where a dance may be.
var isVenue = map[string]bool{
	"amenity": true, "building": true, "club": true, "craft": true, "historic": true, "leisure": true,
	"man_made": true, "office": true, "shop": true, "tourism": true,
}
