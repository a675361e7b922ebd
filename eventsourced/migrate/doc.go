// Package migrate makes the tables of components and brings them up to date. Each package
// with tables has a function Migrations; one call does all of them:
//
//	err := migrate.Run(ctx, pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations())
//
// One form for one component and for all, so that a program says once what it has, and a
// status, a test and a deployment can't forget one. It is one transaction: a database has all of
// what a call brings or nothing of it. What was applied stands in the table
// eventsourcing_migrations, beside the components' tables.
//
// There is no way down: a migration of these packages never loses data, and a backup takes back
// what a program did with newer tables. A tool of your own, goose for example, can apply the
// files instead: they are plain SQL.
package migrate
