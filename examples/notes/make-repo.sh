#!/bin/bash
# Makes a git repository of the notes app with four releases: make-repo.sh DIR
#   v1.0.0  the app
#   v1.1.0  with a migration
#   v1.2.0  a mistake that shows only after it has started: a job deletes all notes
#   v1.3.0  without that job, with another migration
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -eq 1 ] || { echo "usage: make-repo.sh DIR" >&2; exit 2; }
mkdir -p "$1"
cd "$1"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=notes GIT_AUTHOR_EMAIL=notes@localhost
export GIT_COMMITTER_NAME=notes GIT_COMMITTER_EMAIL=notes@localhost

release() {
        echo "${1#v}" >VERSION
        git add -A
        git commit -q -m "Release $1: $2"
        git tag "$1"
}

git init -q -b main
cp "$here/app.py" .
cp -r "$here/migrations" .
cp "$here/gitignore" .gitignore
release v1.0.0 "notes are kept"
cp -r "$here/releases/v1.1.0/." .
release v1.1.0 "notes know their length"
cp -r "$here/releases/v1.2.0/." .
release v1.2.0 "very old notes are removed"
git rm -q -r jobs
cp -r "$here/releases/v1.3.0/." .
release v1.3.0 "notes are found by time; old notes stay"
