package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/dancefinder/eventsourcing/dancefinder/admin"
	"github.com/dancefinder/eventsourcing/dancefinder/graph"
	"github.com/dancefinder/eventsourcing/dancefinder/identity"
	"github.com/dancefinder/eventsourcing/dancefinder/live"
	"github.com/dancefinder/eventsourcing/dancefinder/site"
	"github.com/dancefinder/eventsourcing/dancefinder/web"
	"github.com/dancefinder/eventsourcing/operate"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// website is the page and GraphQL on an address.
type website struct {
	url      string
	site     *site.Site
	gate     *identity.Gate
	hub      *live.Hub
	admin    *admin.Page
	listener net.Listener
}

// openWebsite puts the site together. Nothing is served yet; the listener stays the
// caller's when there is an error.
func (a *app) openWebsite(ctx context.Context, options webOptions, listener net.Listener) (*website, error) {
	w := &website{url: options.publicURL, listener: listener}
	if w.url == "" {
		w.url = "http://" + listener.Addr().String()
	}
	secure := strings.HasPrefix(options.publicURL, "https://")
	var err error
	if w.gate, err = options.gate(ctx, listener.Addr().String(), secure); err != nil {
		return nil, operate.UsageError{Err: err}
	}
	consistency, err := readview.NewConsistency(ctx, a.manager, a.pool, readview.ConsistencyConfig{Keys: options.keys})
	if err != nil {
		return nil, err
	}
	w.hub = live.NewHub(a.store, a.manager, live.Config{Logger: options.logger})
	page, err := web.NewHandler(web.Config{
		Pool: a.pool, Service: a.service, Consistency: consistency, Projections: a.manager, Hub: w.hub,
		Login: w.gate.Login(), Secure: secure, Logger: options.logger,
	})
	if err != nil {
		return nil, err
	}
	queries, err := graph.NewHandler(graph.Config{
		Pool: a.pool, Service: a.service, Consistency: consistency, Hub: w.hub, Logger: options.logger,
		Development: options.development, TrustedDocuments: options.trustedDocuments,
	})
	if err != nil {
		return nil, err
	}
	system := a.system()
	w.admin, err = admin.New(a.manager, a.store, a.pool, w.gate.Login(), readviewui.Config{
		Consumers: system.Consumers, Reactors: system.Reactors, Relay: system.Relay, CheckReset: system.CheckReset, Hint: system.Hint, Logger: options.logger,
	})
	if err != nil {
		return nil, err
	}
	config := site.Config{
		Page: page, Admin: w.admin, GraphQL: queries, Gate: w.gate, Health: a.health.Live(), Ready: a.health.CheckReady, Streams: []string{"/nytt", admin.Stream}, TrustedOrigins: options.trustedOrigins, Logger: options.logger,
	}
	if a.traces != nil {
		config.Traces = a.traces
	}
	if options.development {
		config.GraphiQL = graph.GraphiQL("/graphql")
	}
	w.site, err = site.New(config)
	return w, err
}

// gate returns who says who is asking.
func (o webOptions) gate(ctx context.Context, address string, secure bool) (*identity.Gate, error) {
	common := identity.Options{Logger: o.logger}
	switch {
	case o.demoLogin:
		gate, err := identity.NewDemo(address, identity.DemoConfig{Options: common, Anywhere: o.demoAnywhere, Keys: o.keys, Secure: secure})
		if errors.Is(err, identity.ErrNotLoopback) {
			err = fmt.Errorf("%w: add --demo-login-anywhere if anybody may be anybody", err)
		}
		return gate, err
	case o.issuer != "":
		return identity.NewProvider(ctx, identity.ProviderConfig{
			Options: common, Issuer: o.issuer, Audience: o.audience, RolesClaim: o.rolesClaim,
			ClientID: o.clientID, ClientSecret: o.clientSecret, RedirectURL: o.publicURL + "/login/callback", Keys: o.keys,
		})
	}
	return identity.Anonymous(common), nil
}

// serve serves until ctx ends or run does. It lets requests finish before it ends run,
// as their answers may need what run does.
func (w *website) serve(ctx context.Context, run func(context.Context) error) error {
	group, failed := errgroup.WithContext(ctx)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group.Go(func() error {
		defer stop()
		return w.site.Serve(failed, w.listener)
	})
	// Whoever is subscribed is told that the server stops, before the site ends the streams.
	group.Go(func() error { return w.hub.Run(failed) })
	group.Go(func() error {
		w.admin.Watch(failed)
		return nil
	})
	group.Go(func() error {
		err := run(running)
		if err == nil && running.Err() == nil {
			err = errors.New("what was to run beside the site has stopped")
		}
		return err
	})
	return group.Wait()
}
