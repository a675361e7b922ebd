package migrations

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
)

// Up applies what is missing, in the first schema of the pool's search path, and
// returns the names of what was, also with an error. Each of DanceFinder's own steps is a
// transaction. Several processes may call it at once: one works, the others wait. Before it
// does anything it returns [ErrNewer], [ErrForeign], or a [*RowsError].
func Up(ctx context.Context, pool *pgxpool.Pool) (applied []string, err error) {
	return UpTo(ctx, pool, math.MaxInt64)
}

// UpTo is [Up] for DanceFinder's own steps up to a number. The framework's come after the
// last one of them. It returns [ErrUnknownStep] for a number that no step has.
func UpTo(ctx context.Context, pool *pgxpool.Pool, version int64) (applied []string, err error) {
	all, err := Status(ctx, pool)
	if err != nil {
		return nil, err
	}
	if err := known(all, version); err != nil {
		return nil, err
	}
	if len(wanted(all, version)) == 0 {
		return nil, nil // and needs no right to lock or to create anything
	}
	err = locked(ctx, pool, func() error {
		applied, err = upTo(ctx, pool, version)
		return err
	})
	return applied, err
}

// DownTo takes back DanceFinder's own steps above a number, the last one first, and returns
// the names of those that it took back, also with an error. A step that can't be undone says
// so, and nothing of it is. It returns [ErrUnknownStep] for a number that no step has.
func DownTo(ctx context.Context, pool *pgxpool.Pool, version int64) (undone []string, err error) {
	all, err := Status(ctx, pool)
	if err != nil {
		return nil, err
	}
	if err := known(all, version); err != nil {
		return nil, err
	}
	err = locked(ctx, pool, func() error {
		if versions, err := ownVersions(ctx, pool); err != nil || len(versions) == 0 {
			return err // goose would make its table
		}
		undone, err = withProvider(ctx, pool, func(provider *goose.Provider) ([]*goose.MigrationResult, error) {
			return provider.DownTo(ctx, version)
		})
		return err
	})
	return undone, err
}

// lastStep returns the number of the last of DanceFinder's own steps.
func lastStep(all []Migration) (last int64) {
	for _, m := range all {
		if !strings.Contains(m.Name, "/") {
			last, _ = goose.NumericComponent(m.Name) // all of them have one
		}
	}
	return last
}

func known(all []Migration, version int64) error {
	if last := lastStep(all); version > last && version != math.MaxInt64 {
		return fmt.Errorf("%w: %d, and the last one is %d", ErrUnknownStep, version, last)
	}
	return nil
}

// wanted returns the names of what is pending up to a version of DanceFinder's own.
func wanted(all []Migration, version int64) (names []string) {
	last := lastStep(all)
	for _, m := range all {
		number, _ := goose.NumericComponent(m.Name)
		if framework := strings.Contains(m.Name, "/"); !m.Applied && (framework && version >= last || !framework && number <= version) {
			names = append(names, m.Name)
		}
	}
	return names
}

// upTo is UpTo under the lock.
func upTo(ctx context.Context, pool *pgxpool.Pool, version int64) (applied []string, err error) {
	all, err := Status(ctx, pool) // again: others may have been at work
	if err != nil {
		return nil, err
	}
	missing := wanted(all, version)
	if slices.ContainsFunc(missing, func(name string) bool { return !strings.Contains(name, "/") }) {
		if applied, err = own(ctx, pool, version); err != nil {
			return applied, err
		}
	}
	missing = slices.DeleteFunc(missing, func(name string) bool { return !strings.Contains(name, "/") })
	if len(missing) == 0 {
		return applied, nil
	}
	if err := migrate.Run(ctx, pool, migrate.Config{}, components...); err != nil {
		return applied, err
	}
	return append(applied, missing...), nil
}

// own applies DanceFinder's own steps. If not one of them is done in the end, the database
// is as it was, without a table of versions if it had none.
func own(ctx context.Context, pool *pgxpool.Pool, version int64) (applied []string, err error) {
	versions, recorded, err := recognise(ctx, pool)
	if err != nil {
		return nil, err
	}
	from := int64(0)
	if len(versions) > 0 {
		from = slices.Max(versions)
	}
	if err := checkRows(ctx, pool, from, version); err != nil {
		return nil, err
	}
	var had bool
	if err := pool.QueryRow(ctx, "SELECT to_regclass(quote_ident(current_schema()) || '.goose_db_version') IS NOT NULL").Scan(&had); err != nil {
		return nil, err
	}
	if !recorded {
		if err := record(ctx, pool, versions, had); err != nil {
			return nil, fmt.Errorf("migrate dancefinder: %w", err)
		}
	}
	applied, err = withProvider(ctx, pool, func(provider *goose.Provider) ([]*goose.MigrationResult, error) {
		return provider.UpTo(ctx, version)
	})
	if err == nil {
		return applied, nil
	}
	clean := context.WithoutCancel(ctx)
	if len(applied) == 0 && !had {
		_, dropErr := pool.Exec(clean, "DROP TABLE IF EXISTS goose_db_version")
		err = errors.Join(err, dropErr)
	}
	// Somebody may have written rows since they were checked.
	if ctx.Err() == nil {
		err = errors.Join(err, checkRows(ctx, pool, from, version))
	}
	return applied, err
}

// record notes what a legacy database has behind it, as goose does.
func record(ctx context.Context, pool *pgxpool.Pool, versions []int64, had bool) error {
	if len(versions) == 0 {
		return nil
	}
	store, err := database.NewStore(database.DialectPostgres, goose.DefaultTablename)
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	defer func() { _ = db.Close() }() // of the handle, not the pool
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if !had {
		if err := store.CreateVersionTable(ctx, tx); err != nil {
			return err
		}
		versions = append([]int64{0}, versions...)
	}
	for _, version := range versions {
		if err := store.Insert(ctx, tx, database.InsertRequest{Version: version}); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// locked calls do while no other process migrates this schema. goose has a lock, too, but
// what a database is must not change between the look at it and the steps.
func locked(ctx context.Context, pool *pgxpool.Pool, do func() error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	const key = "hashtextextended('dancefinder ' || current_schema(), 0)" // each schema of a database has its own
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock("+key+")"); err != nil {
		return err
	}
	defer func() {
		if _, err := conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock("+key+")"); err != nil {
			_ = conn.Conn().Close(context.WithoutCancel(ctx)) // and the lock goes with it
		}
	}()
	return do()
}

// withProvider returns the names of the steps that were done, and what one failed with.
func withProvider(ctx context.Context, pool *pgxpool.Pool, use func(*goose.Provider) ([]*goose.MigrationResult, error)) (names []string, err error) {
	provider, err := goose.NewProvider(goose.DialectPostgres, stdlib.OpenDBFromPool(pool), files)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, provider.Close()) }() // of the handle, not the pool
	before, err := ownVersions(ctx, pool)
	if err != nil {
		return nil, err
	}
	results, err := use(provider)
	failed := ""
	if partial := (*goose.PartialError)(nil); errors.As(err, &partial) {
		results, failed, err = partial.Applied, " "+partial.Failed.Source.Path, partial.Err
	}
	for _, result := range results {
		names = append(names, result.Source.Path)
	}
	if err != nil {
		if after, lookErr := ownVersions(context.WithoutCancel(ctx), pool); lookErr == nil {
			names = changed(provider, before, after) // goose does not tell of a step in which it was interrupted
		}
		err = fmt.Errorf("migrate dancefinder%s: %w", failed, explain(err))
	}
	return names, err
}

// changed returns the names of the steps that are in one of two lists only, those that were
// undone the last one first.
func changed(provider *goose.Provider, before, after []int64) (names []string) {
	var undone []string
	for _, source := range provider.ListSources() {
		was, is := slices.Contains(before, source.Version), slices.Contains(after, source.Version)
		switch {
		case is && !was:
			names = append(names, source.Path)
		case was && !is:
			undone = append(undone, source.Path)
		}
	}
	slices.Reverse(undone)
	return append(names, undone...)
}

// explain adds what the server says beside its message.
func explain(err error) error {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		for _, more := range []string{server.Detail, server.Hint} {
			if more != "" {
				err = fmt.Errorf("%w; %s", err, more)
			}
		}
	}
	return err
}
