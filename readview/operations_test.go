package readview_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// operations returns the operator log as lines.
func (b *bank) operations(manager *readview.Manager, query readview.OperationsQuery) (lines []string) {
	b.t.Helper()
	all, err := manager.Operations(b.t.Context(), query)
	require.NoError(b.t, err)
	for _, op := range all {
		require.Equal(b.t, consumer.KindProjection, op.Kind)
		require.False(b.t, op.Began.IsZero() || op.Ended.IsZero() || op.Began.After(op.Ended))
		line := strings.Join([]string{op.Actor, op.Command, op.Name, string(op.Outcome)}, " ")
		if len(op.Arguments) > 0 {
			line += fmt.Sprint(" ", op.Arguments)
		}
		if op.Detail != "" {
			line += ": " + op.Detail
		}
		lines = append(lines, line)
	}
	return lines
}

func TestOperatorLog(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	config := fast()
	config.Node = "node-7"
	failing := balances()
	failing.Reset = readview.ResetFunc(func(context.Context, readview.Tx) error { return errors.New("no reset today") })
	manager, _ := b.manager(config, failing, audits())
	anna := eventsourced.WithActor(t.Context(), "anna@desk")

	require.NoError(t, manager.Pause(anna, "audits"))
	require.NoError(t, manager.Resume(t.Context(), "audits"))
	require.NoError(t, manager.ResetProjection(anna, "audits"))
	require.Error(t, manager.ResetProjection(anna, "balances"))
	require.ErrorIs(t, manager.Pause(anna, "other"), readview.ErrUnknownProjection)

	all := []string{
		"anna@desk pause audits done",
		"node-7 resume audits done",
		"anna@desk reset audits done",
		"anna@desk reset balances failed: reset balances: no reset today",
	}
	require.Equal(t, all, b.operations(manager, readview.OperationsQuery{}))
	require.Equal(t, all[:3], b.operations(manager, readview.OperationsQuery{Names: []string{"audits"}}))
	require.Equal(t, all[2:], b.operations(manager, readview.OperationsQuery{Limit: 2}))
	require.Equal(t, all[1:2], b.operations(manager, readview.OperationsQuery{Limit: 1, Before: 3}))
	_, err := manager.Operations(t.Context(), readview.OperationsQuery{Limit: -1})
	require.Error(t, err)
}

func TestReasonsInTheOperatorLog(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, _ := b.manager(fast(), audits())
	eva := consumer.WithReason(eventsourced.WithActor(t.Context(), "eva"), "the disk")
	require.NoError(t, manager.Pause(eva, "audits"))
	require.NoError(t, manager.ResetProjection(eva, "audits"))
	require.NoError(t, manager.Record(eva, "audits", "reveal", map[string]string{"position": "7"}))
	require.NoError(t, manager.Record(eva, "", "reveal", map[string]string{"reason": "its own"}))
	require.Equal(t, []string{
		"eva pause audits done map[reason:the disk]",
		"eva reset audits done map[reason:the disk]",
		"eva reveal audits done map[position:7 reason:the disk]",
		"eva reveal  done map[reason:its own]",
	}, b.operations(manager, readview.OperationsQuery{}))
}

func TestOperationIsDoneWithItsRecordOrNotAtAll(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, _ := b.manager(fast(), audits())
	require.NoError(t, manager.Pause(t.Context(), "audits"))
	require.NoError(t, manager.Resume(t.Context(), "audits"))
	b.exec(`INSERT INTO audit VALUES (1)`)
	b.exec(`ALTER TABLE readview_operations ADD CHECK (id < 3) NOT VALID`)

	require.Error(t, manager.Pause(t.Context(), "audits"))
	require.Error(t, manager.ResetProjection(t.Context(), "audits"))
	require.EqualValues(t, 1, b.int(`SELECT count(*) FROM readview_states WHERE status = 'running'`))
	require.EqualValues(t, 1, b.int(`SELECT count(*) FROM audit`))
	require.EqualValues(t, 2, b.int(`SELECT count(*) FROM readview_operations`))
}
