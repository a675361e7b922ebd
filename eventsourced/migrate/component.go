package migrate

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// Component is a part of a program that has tables: pgstore.Migrations() is one, and a
// program may have its own.
type Component struct {
	// Name tells it from others in a database. Never change it: the database keeps
	// which files of that name it has seen.
	Name string

	// Files has the migrations in its root: files that end in .sql, applied in the order of
	// their names, each once. One that was applied somewhere is never changed or removed. They
	// name no schema. (For an embed.FS with a folder use fs.Sub.)
	Files fs.FS

	// Needs are the components whose tables this one's migrations need. They are migrated
	// before it, whether the caller names them or not.
	Needs []Component
}

// script is one file of a component.
type script struct{ name, sql string }

// loaded is a component with its files read.
type loaded struct {
	name    string
	scripts []script
}

// load returns the components and what they need, each once, after what it needs. It reports
// all problems at once.
func load(components []Component) (all []loaded, err error) {
	var problems []error
	var visit func(c Component)
	visit = func(c Component) {
		for _, need := range c.Needs {
			visit(need)
		}
		one, err := c.load()
		if err != nil {
			problems = append(problems, err)
			return
		}
		i := slices.IndexFunc(all, func(other loaded) bool { return other.name == one.name })
		switch {
		case i < 0:
			all = append(all, one)
		case !slices.Equal(all[i].scripts, one.scripts):
			problems = append(problems, fmt.Errorf("two components are called %q", c.Name))
		}
	}
	for _, c := range components {
		visit(c)
	}
	return all, errors.Join(problems...)
}

func (c Component) load() (one loaded, err error) {
	switch {
	case c.Name == "":
		return one, errors.New("a component has no Name")
	case c.Files == nil:
		return one, fmt.Errorf("component %s: Files is nil", c.Name)
	}
	names, err := fs.Glob(c.Files, "*.sql") // sorted
	if err == nil && len(names) == 0 {
		err = errors.New("its Files have no .sql file in their root")
	}
	one.name = c.Name
	for _, name := range names {
		sql, readErr := fs.ReadFile(c.Files, name)
		err = errors.Join(err, readErr)
		one.scripts = append(one.scripts, script{name, string(sql)})
	}
	if err != nil {
		return one, fmt.Errorf("component %s: %w", c.Name, err)
	}
	return one, nil
}
