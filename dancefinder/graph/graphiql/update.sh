#!/bin/sh
# Fetches the files of GraphiQL and React again: run it in this folder, with npm. The
# versions go together; GraphiQL 5 needs workers, which would be another page.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && npm pack --silent graphiql@4.1.2 react@18.2.0 react-dom@18.2.0 >/dev/null)
take() { # package, file in it, name here
	tar -xzOf "$folder/$1.tgz" "package/$2" | gzip -9n >"$3.gz"
}
take graphiql-4.1.2 graphiql.min.js graphiql.min.js
take graphiql-4.1.2 graphiql.min.css graphiql.min.css
take react-18.2.0 umd/react.production.min.js react.production.min.js
take react-dom-18.2.0 umd/react-dom.production.min.js react-dom.production.min.js
