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

// noMore refuses arguments above a number.
func noMore(cmd *cobra.Command, args []string, n int) error {
	if len(args) > n {
		return operate.UsageError{Err: fmt.Errorf("%q takes %d arguments, and was given %q", cmd.CommandPath(), n, strings.Join(args, " "))}
	}
	return nil
}
