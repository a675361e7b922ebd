package readview

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/dancefinder/eventsourcing/readview/internal/shadow"
)

// touching finds the events that have touched the first rows that differ.
func (m *Manager) touching(ctx context.Context, found *Verified, options VerifyOptions) error {
	for i := range found.Tables {
		t := &found.Tables[i]
		rows := t.First[:min(len(t.First), options.Events)]
		if len(rows) == 0 || !t.Keyed {
			continue
		}
		var conditions []string
		for _, row := range rows {
			condition, err := keyCondition(row.Key)
			if err != nil {
				return err
			}
			conditions = append(conditions, condition)
		}
		made, err := m.Explain(ctx, found.Projection, ExplainOptions{Table: t.Table, Where: strings.Join(conditions, " OR "), History: options.History, Progress: options.Progress})
		if err != nil {
			return err
		}
		for _, step := range made.Steps {
			for j := range rows {
				if !bytes.Equal(step.Key, rows[j].Key) {
					continue
				}
				event := TouchingEvent{Position: step.Position, Op: step.Op}
				if step.Event != nil {
					event.Name = step.Event.Name
				}
				rows[j].Events = append(rows[j].Events, event)
			}
		}
	}
	return nil
}

// keyCondition is true of the row with a key.
func keyCondition(key json.RawMessage) (string, error) {
	var columns map[string]json.RawMessage
	if err := json.Unmarshal(key, &columns); err != nil {
		return "", err
	}
	var parts []string
	for column, value := range columns {
		text := string(value)
		if strings.HasPrefix(text, `"`) {
			if err := json.Unmarshal(value, &text); err != nil {
				return "", err
			}
		}
		parts = append(parts, quote(column)+" = "+shadow.Literal(text))
	}
	slices.Sort(parts)
	return "(" + strings.Join(parts, " AND ") + ")", nil
}
