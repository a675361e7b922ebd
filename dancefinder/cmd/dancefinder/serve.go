package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/dancefinder/identity"
	"github.com/dancefinder/eventsourcing/operate"
)

// defaultListen is on this machine only.
const defaultListen = "127.0.0.1:8080"

func serveCommand() *cobra.Command {
	var options webOptions
	var webOnly bool
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve the page and GraphQL, and do what a projector does, until interrupted",
		Long: "Serves the page at /, GraphQL at /graphql, /healthz and /readyz, and does all that a projector does.\n" +
			"With --web-only it leaves that to projectors elsewhere. At SIGINT or SIGTERM it finishes what it is at.\n\n" +
			"Who is asking is told by an OpenID provider: --oidc-issuer and --oidc-audience for bearer tokens, and\n" +
			"--oidc-client-id with --public-url for a login from the page. The secret of the client is taken from\n" +
			"OIDC_CLIENT_SECRET. Or, to try things out, by a login with any name: --demo-login, which is refused on an\n" +
			"address that others can reach unless --demo-login-anywhere says so, too. Without either all can read, and nobody\n" +
			"can save anything.\n\n" +
			"DANCEFINDER_KEYS has the keys that sign sessions and consistency tokens: base64 of 32 bytes or more each,\n" +
			"separated by commas, the same for all nodes. The first one signs, all verify: to replace one, add the new one at\n" +
			"the end everywhere, then move it to the front. 'openssl rand -base64 32' makes one.",
		Example: "  dancefinder serve --demo-login\n" +
			"  dancefinder serve --listen :8080 --public-url https://dans.example --oidc-issuer https://login.example \\\n" +
			"      --oidc-audience dancefinder --oidc-client-id dancefinder --trusted-documents",
		Annotations: runs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := options.complete(); err != nil {
				return err
			}
			return withApp(cmd, func(a *app) error {
				if err := a.checkMigrated(cmd.Context()); err != nil {
					return err
				}
				options.logger = logger(cmd)
				return a.measured(cmd.Context(), setting(cmd, "metrics-listen", "METRICS_LISTEN"), func(ctx context.Context) error {
					return a.serve(ctx, options, webOnly)
				})
			})
		},
	}
	addGeocoderFlags(command)
	addVerifyFlag(command)
	addMetricsFlag(command)
	flags := command.Flags()
	flags.BoolVar(&webOnly, "web-only", false, "leave projections, relay and geocoding to projectors elsewhere")
	flags.StringVar(&options.listen, "listen", "", "address and port (default: LISTEN, then "+defaultListen+")")
	flags.StringVar(&options.publicURL, "public-url", "", "how browsers reach it, such as https://dans.example (default: PUBLIC_URL)")
	flags.StringVar(&options.issuer, "oidc-issuer", "", "the OpenID provider's URL (default: OIDC_ISSUER)")
	flags.StringVar(&options.audience, "oidc-audience", "", "what a token has to be made for (default: OIDC_AUDIENCE)")
	flags.StringVar(&options.rolesClaim, "oidc-roles-claim", "", "the claim with the roles, such as realm_access.roles (default: OIDC_ROLES_CLAIM, then roles)")
	flags.StringVar(&options.clientID, "oidc-client-id", "", "this application at the provider, for a login from the page (default: OIDC_CLIENT_ID)")
	flags.BoolVar(&options.demoLogin, "demo-login", false, "let anybody log in with any name")
	flags.BoolVar(&options.demoAnywhere, "demo-login-anywhere", false, "... also on an address that others can reach")
	flags.BoolVar(&options.development, "development", false, "serve GraphiQL at /graphiql, and the schema to whoever asks")
	flags.BoolVar(&options.trustedDocuments, "trusted-documents", false, "answer no GraphQL but the page's own")
	flags.StringSliceVar(&options.trustedOrigins, "trusted-origin", nil, "another site whose pages may send requests, such as https://app.example; may be repeated")
	return command
}

// webOptions are what the command line and the environment say of the site.
type webOptions struct {
	listen, publicURL                                    string
	issuer, audience, rolesClaim, clientID, clientSecret string
	demoLogin, demoAnywhere                              bool
	development, trustedDocuments                        bool
	trustedOrigins                                       []string
	keys                                                 [][]byte
	logger                                               *slog.Logger
}

// complete takes from the environment what the command line lacks, and refuses what
// does not fit together. The error names every problem.
func (o *webOptions) complete() error {
	o.listen = cmp.Or(o.listen, os.Getenv("LISTEN"), defaultListen)
	o.publicURL = strings.TrimSuffix(cmp.Or(o.publicURL, os.Getenv("PUBLIC_URL")), "/")
	o.issuer = cmp.Or(o.issuer, os.Getenv("OIDC_ISSUER"))
	o.audience = cmp.Or(o.audience, os.Getenv("OIDC_AUDIENCE"))
	o.rolesClaim = cmp.Or(o.rolesClaim, os.Getenv("OIDC_ROLES_CLAIM"))
	o.clientID = cmp.Or(o.clientID, os.Getenv("OIDC_CLIENT_ID"))
	o.clientSecret = os.Getenv("OIDC_CLIENT_SECRET")

	var problems []error
	refuse := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if o.demoLogin && o.issuer != "" {
		refuse("--demo-login and --oidc-issuer: choose one")
	}
	if o.demoAnywhere && !o.demoLogin {
		refuse("--demo-login-anywhere goes with --demo-login")
	}
	if o.issuer == "" && o.clientID != "" {
		refuse("--oidc-client-id needs --oidc-issuer")
	}
	if o.issuer != "" && o.audience == "" {
		refuse("--oidc-issuer needs --oidc-audience")
	}
	if o.clientID != "" && o.publicURL == "" {
		refuse("--oidc-client-id needs --public-url, where the provider sends people back to")
	}
	if public, err := url.Parse(o.publicURL); o.publicURL != "" && (err != nil || public.Host == "" || public.Path != "" || public.Scheme != "https" && public.Scheme != "http") {
		refuse("--public-url %q: want a scheme and a host, such as https://dans.example", o.publicURL)
	}
	var err error
	if o.keys, err = parseKeys(os.Getenv("DANCEFINDER_KEYS")); err != nil {
		problems = append(problems, err)
	}
	if len(o.keys) == 0 && err == nil {
		if !o.demoLogin {
			refuse("no keys: set DANCEFINDER_KEYS, such as to the output of 'openssl rand -base64 32', to the same for all nodes")
		} else {
			o.keys = [][]byte{newKey()} // sessions end with the process
		}
	}
	if len(problems) > 0 {
		return operate.UsageError{Err: errors.Join(problems...)}
	}
	return nil
}

// parseKeys reads keys. An error tells nothing of them.
func parseKeys(text string) (keys [][]byte, err error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for i, part := range strings.Split(text, ",") {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(part))
		if err != nil || len(key) < identity.MinKey {
			return nil, fmt.Errorf("DANCEFINDER_KEYS: key %d is not base64 of %d bytes or more", i+1, identity.MinKey)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func newKey() []byte {
	key := make([]byte, identity.MinKey)
	_, _ = rand.Read(key) // never fails
	return key
}

// serve serves until ctx ends, and then finishes what it is at: requests first, then
// the pages of the projections.
func (a *app) serve(ctx context.Context, options webOptions, webOnly bool) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", options.listen)
	if err != nil {
		return operate.UsageError{Err: fmt.Errorf("--listen: %w", err)}
	}
	w, err := a.openWebsite(ctx, options, listener)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	run := a.Run
	if webOnly {
		run = waitFor
	} else {
		a.announce(ctx, options.logger)
	}
	options.logger.InfoContext(ctx, "serves the page and GraphQL", "url", w.url, "login", w.gate.Login())
	return w.serve(ctx, run)
}

// waitFor returns when ctx ends.
func waitFor(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
