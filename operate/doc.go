// Package operate has the commands with which people look after what goes through a log:
// projections and their read views, relays, reactors. Any application mounts them in its own
// tree of commands:
//
//	commands := operate.New(func(cmd *cobra.Command, do func(operate.System) error) error {
//		manager, store, pool, closeAll, err := open(cmd.Context())
//		if err != nil {
//			return err
//		}
//		defer closeAll()
//		return do(operate.System{Manager: manager, Log: store, Pool: pool,
//			Consumers: consumer.NewStore(pool, consumer.Config{})}) // its relays and reactors
//	}, operate.Config{})
//	root := &cobra.Command{Use: "bank", Short: "A bank"}
//	root.AddCommand(commands.Readviews())
//	operate.Main(root)
//
// Each command is thin: what it does is a call of packages readview, consumer, relay or reactor. Those
// that list something have --json. Those that destroy something ask in a terminal, unless
// they are given --yes, and only say what they would do with --dry-run. The exit code is 0 when
// all is done, 1 when it failed, 2 after wrong usage, 3 when a check has found something or a retry has
// failed again, 130 after Ctrl-C. "readviews verify" answers like diff: 0 equal, 1 different, 2 could not tell.
//
// It is a module of its own, so that the framework does not bring its libraries to
// everybody.
package operate
