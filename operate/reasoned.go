package operate

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/operate/terminal"
)

// reasoned is what every command wants that has something go on without an event.
type reasoned struct {
	position            int64
	reason              string
	dryRun, yes, asJSON bool
}

func (r *reasoned) flags(command *cobra.Command, position string) {
	flags := command.Flags()
	flags.Int64Var(&r.position, "position", 0, position)
	flags.StringVar(&r.reason, "reason", "", "why, for those who come later (required)")
	flags.BoolVar(&r.dryRun, "dry-run", false, "say what it would do, and do nothing")
	flags.BoolVar(&r.yes, "yes", false, "don't ask, also in a terminal")
	flags.BoolVar(&r.asJSON, "json", false, "print an object for programs")
}

func (r *reasoned) checkReason() error {
	if strings.TrimSpace(r.reason) == "" {
		return UsageError{errors.New("--reason: say why")}
	}
	return nil
}

// act asks and does it, and returns what was done, or what would be.
func (r *reasoned) act(cmd *cobra.Command, question, would, done string, do func(context.Context) error) (outcome string, err error) {
	if r.dryRun {
		return would, nil
	}
	ctx := cmd.Context()
	if in := cmd.InOrStdin(); !r.yes && terminal.Is(in) {
		if err := terminal.Ask(ctx, in, cmd.ErrOrStderr(), question); err != nil {
			return "", err
		}
	}
	return done, do(ctx)
}
