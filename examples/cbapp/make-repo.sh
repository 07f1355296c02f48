#!/bin/bash
# Makes the git repository of the tenants' app: make-repo.sh DIR
#   v0.1.0  people have names
#   v0.2.0  and addresses: needs a new column, and a newer package
#   v0.3.0  segments; where people came from
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -eq 1 ] || { echo "usage: make-repo.sh DIR" >&2; exit 2; }
mkdir -p "$1"
cd "$1"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=cbapp GIT_AUTHOR_EMAIL=cbapp@localhost
export GIT_COMMITTER_NAME=cbapp GIT_COMMITTER_EMAIL=cbapp@localhost

# A package as a wheel: cbtext VERSION
package() {
        rm -rf vendor
        mkdir vendor
        python3 - "$1" <<'WHEEL'
import sys, zipfile
version = sys.argv[1]
info = f"cbtext-{version}.dist-info"
with zipfile.ZipFile(f"vendor/cbtext-{version}-py3-none-any.whl", "w") as wheel:
    wheel.writestr("cbtext.py", f"VERSION = '{version}'\n\n\ndef clean(text):\n    return ' '.join(text.split())\n")
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: cbtext\nVersion: {version}\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{info}/RECORD", "")
WHEEL
        echo "cbtext==$1" >requirements.txt
}

release() {
        echo "$1" >VERSION
        git add -A
        git commit -q -m "Release $1: $2"
        git tag "$1"
}

git init -q -b main
cp "$here/app/api.py" "$here/app/install.sh" .
mkdir scripts
cp "$here"/app/scripts/columns.py "$here"/app/scripts/[12]_*.py scripts/
printf '.venv*\ndb/\n.env\n__pycache__/\n' >.gitignore
echo '["name"]' >columns.json
package 1.0
release v0.1.0 "people have names"
cp "$here"/app/scripts/3_*.py scripts/
echo '["name", "email"]' >columns.json
package 1.1
release v0.2.0 "and addresses"
cp "$here"/app/scripts/[456]_*.py scripts/
echo '["name", "email", "imported_at"]' >columns.json
release v0.3.0 "segments; where people came from"
