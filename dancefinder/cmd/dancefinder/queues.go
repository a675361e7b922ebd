package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/operate/terminal"
)

func queuesCommand() *cobra.Command {
	var dryRun, yes, asJSON bool
	upgrade := &cobra.Command{
		Use:   "upgrade TOPIC GROUP",
		Short: "Make a quorum queue of a classic one, with all that is in it, in order",
		Long: "Makes a quorum queue of a group's classic one, with all that is in it, in order. Stop all subscribers of the\n" +
			"group first, and let them start again with quorum queues. Nothing is lost of what is published meanwhile; what\n" +
			"comes in the moment in which the new queue takes over may come after what is later. Pause the relay, and there is\n" +
			"none of that. When it is interrupted, run it again. In a terminal it asks before it does so.",
		Example: "  dancefinder queues upgrade " + requestsTopic + " " + relayName + " --dry-run\n" +
			"  dancefinder queues upgrade dancefinder.events billing --yes",
		Args: func(cmd *cobra.Command, args []string) error {
			return errors.Join(topicAndGroup(cmd, args), noMore(cmd, args, 2))
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withQueue(cmd, args, amqpbus.Quorum, func(ctx context.Context, s *amqpbus.Subscriber, topic string) error {
				state, err := s.Inspect(ctx, topic)
				if err != nil {
					return err
				}
				if dryRun {
					return printQueue(cmd, state, asJSON)
				}
				if in := cmd.InOrStdin(); !yes && terminal.Is(in) {
					question := fmt.Sprintf("Make a quorum queue of %s, with %d messages?", state.Queue, state.Messages)
					if err := terminal.Ask(ctx, in, cmd.ErrOrStderr(), question); err != nil {
						return err
					}
				}
				done, err := s.Upgrade(ctx, topic)
				if err != nil {
					return err
				}
				if asJSON {
					return terminal.JSON(cmd.OutOrStdout(), map[string]any{"queue": state.Queue, "moved": done.Moved, "late": done.Late})
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "upgraded %s: %d messages moved, %d of them late\n", state.Queue, done.Moved, done.Late)
				return err
			})
		},
	}
	upgrade.Flags().BoolVar(&dryRun, "dry-run", false, "show the queue, and do nothing")
	upgrade.Flags().BoolVar(&yes, "yes", false, "don't ask, also in a terminal")
	upgrade.Flags().BoolVar(&asJSON, "json", false, "print an object for programs")
	return group("queues", "Look after queues at RabbitMQ", showQueuesCommand(), upgrade)
}

func showQueuesCommand() *cobra.Command {
	var asJSON bool
	show := &cobra.Command{
		Use:   "show TOPIC GROUP...",
		Short: "Show how many messages wait in the queues of groups, and in those of their dead letters",
		Long: "Shows how many messages wait in the queues of groups, and in those of their dead letters: what a slow consumer\n" +
			"has still to do. Without a consumer nobody receives; with one and a number that grows, it is too slow, or stuck:\n" +
			"see the status where it runs.",
		Example: "  dancefinder queues show dancefinder.events billing tickets\n  dancefinder queues show " + requestsTopic + " " + relayName + " --json",
		Args:    topicAndGroup,
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []amqpbus.QueueState
			for _, group := range args[1:] {
				err := withQueue(cmd, []string{args[0], group}, "", func(ctx context.Context, s *amqpbus.Subscriber, topic string) error {
					states, err := s.Queues(ctx, topic)
					all = append(all, states...)
					return err
				})
				if err != nil {
					return err
				}
			}
			if asJSON {
				rows := make([]map[string]any, len(all))
				for i, state := range all {
					rows[i] = map[string]any{"queue": state.Queue, "there": state.There, "messages": state.Messages, "consumers": state.Consumers}
				}
				return terminal.JSON(cmd.OutOrStdout(), rows)
			}
			return terminal.Table(cmd.OutOrStdout(), "QUEUE\tMESSAGES\tCONSUMERS", all, func(state amqpbus.QueueState) string {
				if !state.There {
					return state.Queue + "\tis not there\t-"
				}
				return fmt.Sprintf("%s\t%d\t%d", state.Queue, state.Messages, state.Consumers)
			})
		},
	}
	show.Flags().BoolVar(&asJSON, "json", false, "print an array of objects for programs")
	return show
}

func printQueue(cmd *cobra.Command, state amqpbus.QueueState, asJSON bool) error {
	if asJSON {
		return terminal.JSON(cmd.OutOrStdout(), map[string]any{
			"queue": state.Queue, "there": state.There, "quorum": state.AsWanted, "messages": state.Messages,
			"consumers": state.Consumers, "halfDone": state.HalfDone,
		})
	}
	what := "would be made a quorum queue"
	switch {
	case state.HalfDone:
		what = "an upgrade was interrupted: it would be finished"
	case !state.There:
		what = "is not there"
	case state.AsWanted:
		what = "is one already"
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %d messages, %d consumers: %s\n", state.Queue, state.Messages, state.Consumers, what)
	return err
}
