#!/bin/bash
# tools/compile_into.sh DIR FLAG... -- FILE...: objects in DIR, named by the path with + for /.
set -euo pipefail
dir=$1
shift
flags=()
while [ "$1" != -- ]; do
        flags+=("$1")
        shift
done
shift
for file in "$@"; do
        gcc "${flags[@]}" -c -o "$dir/${file//\//+}.o" "$file"
done
