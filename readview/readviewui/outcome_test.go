package readviewui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// program sends a form as a program does, and returns what it is told.
func (s *site) program(values url.Values) (status int, outcome string) {
	s.t.Helper()
	response, text := s.send("POST", "act", values, "X-Operator", "eva", "Accept", "application/json")
	var answer struct{ Outcome string }
	require.NoError(s.t, json.Unmarshal([]byte(text), &answer), text)
	return response.StatusCode, answer.Outcome
}

// What the operator log and the answer say of an action is what came of it.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Authorize: operators})
	require.NoError(t, s.manager.WaitFor(t.Context(), s.deposit("anna", 5)))
	last := func(outcome consumer.Outcome, command string) string { // waits until the last operation is that
		t.Helper()
		var op consumer.Operation
		require.Eventually(t, func() bool {
			all, err := s.manager.Operations(t.Context(), readview.OperationsQuery{Limit: 1})
			require.NoError(t, err)
			op = all[0]
			return op.Command == command && op.Outcome == outcome
		}, 30*time.Second, 20*time.Millisecond, "%+v", &op)
		require.Equal(t, "eva", op.Actor)
		return op.Detail
	}

	status, _ := s.program(form("explain", "accounts", "table", "account", "column", "nope", "value", "anna"))
	require.Contains(t, []int{http.StatusConflict, http.StatusAccepted}, status)
	require.Contains(t, last(consumer.OutcomeFailed, "explain"), `column "nope" does not exist`)

	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = tx.Exec(t.Context(), `LOCK TABLE account IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	status, outcome := s.program(form("verify", "accounts"))
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, "under way", outcome)
	require.Empty(t, last(consumer.OutcomeUnderWay, "verify"))
	require.NoError(t, tx.Rollback(t.Context()))
	require.Contains(t, last(consumer.OutcomeDone, "verify"), "equal, at position")

	_, err = s.pool.Exec(t.Context(), `UPDATE account SET amount = 99`)
	require.NoError(t, err)
	s.until("accounts", func(consumer.Status) bool {
		status, _ = s.program(form("verify", "accounts"))
		return status < 400
	})
	require.Contains(t, last(consumer.OutcomeDone, "verify"), "not equal, at position")

	at := s.deposit("bo", 500)
	s.until("accounts", failed)
	s.does(form("dry-run", "accounts", "position", fmt.Sprint(at)))
	require.Equal(t, "it would fail", last(consumer.OutcomeDone, "dry-run"))
	s.does(form("park", "accounts", "position", fmt.Sprint(at), "reason", "later", "typed", "accounts"))
	_, outcome = s.program(form("retry", "accounts"))
	require.Contains(t, []string{"failed", "under way"}, outcome)
	last(consumer.OutcomeFailed, "retry")

	_, err = s.pool.Exec(t.Context(), `ALTER TABLE account RENAME TO gone`)
	require.NoError(t, err)
	begun := func(consumer.Status) bool { // once the page has heard of the end of the one before
		_, _ = s.program(form("verify", "accounts"))
		all, err := s.manager.Operations(t.Context(), readview.OperationsQuery{Limit: 1})
		require.NoError(t, err)
		return all[0].Command == "verify"
	}
	s.until("accounts", begun)
	require.Contains(t, last(consumer.OutcomeFailed, "verify"), "account")
}

// What has compared and still looks for the events of the rows that differ says so: it is not done and under way at once.
func TestVerifyThatLooksForEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Authorize: operators})
	require.NoError(t, s.manager.WaitFor(t.Context(), s.deposit("anna", 5)))
	_, err := s.pool.Exec(t.Context(), `UPDATE account SET amount = 99`)
	require.NoError(t, err)
	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	var schema string // that an explanation makes, and waits for
	require.NoError(t, tx.QueryRow(t.Context(), `SELECT current_schema() || '_explain_accounts'`).Scan(&schema))
	_, err = tx.Exec(t.Context(), `CREATE SCHEMA "`+schema+`"`)
	require.NoError(t, err)
	status, _ := s.program(form("verify", "accounts"))
	require.Equal(t, http.StatusAccepted, status)
	const finds = "under way: it has compared the rows, and finds the events that have touched those that differ"
	require.Eventually(t, func() bool { return strings.Contains(s.page(accounts), finds) }, 30*time.Second, 20*time.Millisecond)
	require.NoError(t, tx.Rollback(t.Context()))
	require.Eventually(t, func() bool { return strings.Contains(s.page(accounts), "Verify: not equal") }, 30*time.Second, 20*time.Millisecond)
	require.NotContains(t, s.page(accounts), finds)
}
