package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/operate/terminal"
)

func geocodingCommand() *cobra.Command {
	var asJSON bool
	status := &cobra.Command{
		Use:     "status",
		Short:   "Count the dance halls by what became of them",
		Example: "  dancefinder geocoding status --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(a *app) error {
				if !asJSON {
					return a.writeGeocoding(cmd.Context(), cmd.OutOrStdout())
				}
				s, err := a.geocoding.Status(cmd.Context())
				if err != nil {
					return err
				}
				return terminal.JSON(cmd.OutOrStdout(), struct {
					Done     int64 `json:"done"` // on the map
					Pending  int64 `json:"pending"`
					NotFound int64 `json:"not_found"`
					Failed   int64 `json:"failed"`
				}{s.Done, s.Pending, s.NotFound, s.Failed})
			})
		},
	}
	status.Flags().BoolVar(&asJSON, "json", false, "print an object for programs")
	retry := &cobra.Command{
		Use:     "retry",
		Short:   "Look up again what was not found or has failed",
		Example: "  dancefinder geocoding retry",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(a *app) error {
				halls, err := a.geocoding.Retry(cmd.Context())
				if err == nil {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d dance halls queued again\n", halls)
				}
				return err
			})
		},
	}
	return group("geocoding", "Look after geocoding, which finds dance halls on the map", status, retry)
}

func (a *app) writeGeocoding(ctx context.Context, w io.Writer) error {
	s, err := a.geocoding.Status(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%d dance halls on the map, %d waiting, %d not found, %d failed\n", s.Done, s.Pending, s.NotFound, s.Failed)
	return err
}
