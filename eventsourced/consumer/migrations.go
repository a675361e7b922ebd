package consumer

import (
	"embed"
	"io/fs"

	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are those of the tables consumers and consumer_operations, for [migrate.Run].
func Migrations() migrate.Component {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	return migrate.Component{Name: "consumer", Files: files}
}
