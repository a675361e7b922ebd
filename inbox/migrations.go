package inbox

import (
	"embed"
	"io/fs"

	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/readview"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are those of the table inbox_events, for [migrate.Run].
func Migrations() migrate.Component {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	return migrate.Component{Name: "inbox", Files: files, Needs: []migrate.Component{reactor.Migrations(), readview.Migrations()}}
}
