#!/bin/bash
# make bench [QUICK=1]: all benchmarks, one table at the end. Options are bench.py's: bench/run.sh --help
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install-test-deps.sh
build=${BELAY_BUILD:-build}
mkdir -p "$build/bench/bin"
cc=${CC:-gcc}
"$cc" -O2 -D_GNU_SOURCE -o "$build/bench/noted" tests/lib/noted/noted.c -lsqlite3
"$cc" -O2 -D_GNU_SOURCE -static -o "$build/bench/bin/git" bench/git_meter.c
"$cc" -O2 -std=gnu11 -D_GNU_SOURCE -Isrc -o "$build/bench/journal_appends" bench/journal_appends.c \
        "$build/libbelay.a" -ljansson -lsqlite3 -lcrypto -lzstd -lyaml
options=()
[ -n "${QUICK:-}" ] && options+=(--quick)
exec /usr/bin/python3 bench/bench.py "${options[@]}" "$@"
