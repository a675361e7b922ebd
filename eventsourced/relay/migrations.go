package relay

import (
	"embed"
	"io/fs"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are those of the tables relay_topics, relay_skips and relay_published, for [migrate.Run].
func Migrations() migrate.Component {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	return migrate.Component{Name: "relay", Files: files, Needs: []migrate.Component{consumer.Migrations()}}
}
