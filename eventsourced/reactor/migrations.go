package reactor

import (
	"embed"
	"io/fs"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are those of the tables parked_events, reactor_done, reactor_skipped and reactor_asked, for [migrate.Run].
func Migrations() migrate.Component {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	return migrate.Component{Name: "reactor", Files: files, Needs: []migrate.Component{consumer.Migrations()}}
}
