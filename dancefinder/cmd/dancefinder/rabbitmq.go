package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/operate"
	"github.com/dancefinder/eventsourcing/operate/terminal"
)

// addBrokerFlags adds what all commands have that use RabbitMQ.
func addBrokerFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.String("amqp-url", "", "the RabbitMQ broker, or the nodes of a cluster, separated by commas (default: the environment's AMQP_URL, then none)")
	flags.String("amqp-queue-type", "", "classic or quorum; in a cluster choose quorum (default: AMQP_QUEUE_TYPE, then classic)")
	flags.String("amqp-declare", "", "what is made at the broker: all, queue or nothing (default: AMQP_DECLARE, then all)")
}

// setting returns a flag's value, or that of the environment's variable.
func setting(cmd *cobra.Command, name, variable string) string {
	value, err := cmd.Flags().GetString(name)
	if err != nil {
		return "" // the command does not have it
	}
	return cmp.Or(value, os.Getenv(variable))
}

// withQueue calls do with the subscriber of the group that the arguments name.
func withQueue(cmd *cobra.Command, args []string, kind amqpbus.QueueType, do func(ctx context.Context, s *amqpbus.Subscriber, topic string) error) error {
	url := setting(cmd, "amqp-url", "AMQP_URL")
	if url == "" {
		return operate.UsageError{Err: errors.New("no broker: set AMQP_URL or give --amqp-url amqp://user:password@host:port/vhost")}
	}
	subscriber, err := amqpbus.NewSubscriber(url, amqpbus.SubscriberConfig{Group: args[1], QueueType: kind, Logger: logger(cmd)})
	if err != nil {
		return operate.UsageError{Err: err}
	}
	return errors.Join(do(cmd.Context(), subscriber, args[0]), subscriber.Close())
}

// topicAndGroup wants these two arguments first.
func topicAndGroup(cmd *cobra.Command, args []string) error {
	if len(args) < 2 || strings.TrimSpace(args[0]) == "" || strings.TrimSpace(args[1]) == "" {
		return operate.UsageError{Err: fmt.Errorf("%q wants a topic and a group, such as: %s billing", cmd.CommandPath(), eventsTopic)}
	}
	return nil
}

func deadLettersCommand() *cobra.Command {
	var asJSON bool
	var limit int
	list := &cobra.Command{
		Use:     "list TOPIC GROUP",
		Short:   "Show what a group could not handle, and why; it stays where it is",
		Example: "  dancefinder deadletters list dancefinder.events billing\n  dancefinder deadletters list dancefinder.events billing --json --limit 10",
		Args: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return operate.UsageError{Err: fmt.Errorf("--limit %d: want 1 or more", limit)}
			}
			return errors.Join(topicAndGroup(cmd, args), noMore(cmd, args, 2))
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withQueue(cmd, args, "", func(ctx context.Context, s *amqpbus.Subscriber, topic string) error {
				letters, err := s.DeadLetters(ctx, topic, limit)
				if err != nil {
					return err
				}
				return printLetters(cmd, letters, asJSON)
			})
		},
	}
	list.Flags().BoolVar(&asJSON, "json", false, "print an array of objects for programs, with headers and bodies")
	list.Flags().IntVar(&limit, "limit", 100, "show at most so many, the first ones")
	return group("deadletters", "Look after messages that could not be handled", list, requeueCommand())
}

// requeueRun is what "deadletters requeue" is asked to do.
type requeueRun struct{ all, dryRun, yes, asJSON bool }

func requeueCommand() *cobra.Command {
	r := requeueRun{}
	command := &cobra.Command{
		Use:   "requeue TOPIC GROUP {ID... | --all}",
		Short: "Put dead letters back to the end of the queue they came from",
		Long: "Puts dead letters back to the end of the queue they came from. Other groups don't get them again.\n" +
			"In a terminal it asks before it does so.",
		Example: "  dancefinder deadletters requeue dancefinder.events billing --all --dry-run\n" +
			"  dancefinder deadletters requeue dancefinder.events billing 0197a1d2-5c1e-7b0a-9d27-2f1c5a3b7e11 --yes",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := topicAndGroup(cmd, args); err != nil {
				return err
			}
			if r.all == (len(args) > 2) {
				return operate.UsageError{Err: errors.New("--all, or ids: choose one")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withQueue(cmd, args, "", func(ctx context.Context, s *amqpbus.Subscriber, topic string) error {
				return r.requeue(ctx, cmd, s, topic, args[2:])
			})
		},
	}
	command.Flags().BoolVar(&r.all, "all", false, "put all back")
	command.Flags().BoolVar(&r.dryRun, "dry-run", false, "show what it would put back, and do nothing")
	command.Flags().BoolVar(&r.yes, "yes", false, "don't ask, also in a terminal")
	command.Flags().BoolVar(&r.asJSON, "json", false, "print an array of objects for programs")
	return command
}

func (r requeueRun) requeue(ctx context.Context, cmd *cobra.Command, s *amqpbus.Subscriber, topic string, ids []string) error {
	asks := !r.yes && terminal.Is(cmd.InOrStdin())
	if r.dryRun || asks {
		letters, err := s.DeadLetters(ctx, topic, 0)
		if err != nil {
			return err
		}
		chosen := letters[:0]
		for _, letter := range letters {
			if r.all || slices.Contains(ids, letter.Message.UUID) {
				chosen = append(chosen, letter)
			}
		}
		if r.dryRun {
			return printLetters(cmd, chosen, r.asJSON)
		}
		question := fmt.Sprintf("Put %d messages back to %s?", len(chosen), s.Queue(topic))
		if err := terminal.Ask(ctx, cmd.InOrStdin(), cmd.ErrOrStderr(), question); err != nil {
			return err
		}
	}
	requeued, err := s.Requeue(ctx, topic, ids...)
	if r.asJSON {
		return errors.Join(err, printLetters(cmd, requeued, true))
	}
	for _, letter := range requeued {
		_, _ = fmt.Fprintln(cmd.OutOrStdout(), "requeued", letter.Message.UUID)
	}
	if missing := len(ids) - len(requeued); err == nil && missing > 0 {
		err = fmt.Errorf("%d of %d ids are not among the dead letters of %s", missing, len(ids), s.Queue(topic))
	}
	return err
}

// deadLetterJSON is a dead letter for programs.
type deadLetterJSON struct {
	ID      string            `json:"id"`
	Name    string            `json:"name"`
	Reason  string            `json:"reason"`
	Time    time.Time         `json:"time"`
	Tries   int               `json:"tries"`
	Queue   string            `json:"queue"`
	Topic   string            `json:"topic"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func printLetters(cmd *cobra.Command, letters []amqpbus.DeadLetter, asJSON bool) error {
	if !asJSON {
		return terminal.Table(cmd.OutOrStdout(), "ID\tNAME\tGIVEN UP\tTRIES\tREASON", letters, func(l amqpbus.DeadLetter) string {
			reason, _, _ := strings.Cut(l.Reason, "\n")
			return strings.Join([]string{l.Message.UUID, l.Message.Metadata["name"], l.Time.Format(time.RFC3339), strconv.Itoa(l.Tries), reason}, "\t")
		})
	}
	rows := make([]deadLetterJSON, len(letters))
	for i, l := range letters {
		rows[i] = deadLetterJSON{l.Message.UUID, l.Message.Metadata["name"], l.Reason, l.Time, l.Tries, l.Queue, l.Topic, l.Message.Metadata, string(l.Message.Payload)}
	}
	return terminal.JSON(cmd.OutOrStdout(), rows)
}

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

// noMore refuses arguments above a number.
func noMore(cmd *cobra.Command, args []string, n int) error {
	if len(args) > n {
		return operate.UsageError{Err: fmt.Errorf("%q takes %d arguments, and was given %q", cmd.CommandPath(), n, strings.Join(args, " "))}
	}
	return nil
}
