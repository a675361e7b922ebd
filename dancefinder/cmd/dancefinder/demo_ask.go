package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

// question is what the demo asks GraphQL.
const question = `query($from: Date!, $to: Date!) {
  events(filter: {from: $from, to: $to}, first: 3) {
    totalCount
    nodes { date startTime endTime band { name } danceHall { name city } }
  }
}`

var title = regexp.MustCompile(`(?s)<title>(.*?)</title>`)

// ask asks the page and GraphQL a question each, as a browser and a program would, and
// prints what comes back.
func (w *website) ask(ctx context.Context, out io.Writer) error {
	page, err := fetch(ctx, http.MethodGet, w.url+"/", nil)
	if err != nil {
		return err
	}
	said := title.FindSubmatch(page)
	if said == nil {
		return errors.New("the page has no title")
	}
	_, _ = fmt.Fprintf(out, "\nGET %s/\n  %s (%d bytes)\n", w.url, html.UnescapeString(strings.TrimSpace(string(said[1]))), len(page))

	now := time.Now()
	body, err := json.Marshal(map[string]any{"query": question, "variables": map[string]any{
		"from": domain.DateOf(now), "to": domain.DateOf(now.AddDate(0, 0, 6)),
	}})
	if err != nil {
		return err
	}
	answer, err := fetch(ctx, http.MethodPost, w.url+"/graphql", body)
	if err != nil {
		return err
	}
	var parsed struct {
		Data   json.RawMessage `json:"data"`
		Errors json.RawMessage `json:"errors"`
	}
	if err := json.Unmarshal(answer, &parsed); err != nil || parsed.Errors != nil {
		return fmt.Errorf("GraphQL answered %s", answer)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, parsed.Data, "  ", "  "); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "\nPOST %s/graphql: the first dances of seven days\n  %s\n", w.url, &pretty)
	return nil
}

func fetch(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	client := &http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s: %.500s", url, response.Status, text)
	}
	return text, err
}
