#!/bin/bash
# Configures (when needed) and builds one variant: tools/build.sh VARIANT [ninja target...]
#   release  build/         -O2 with debug information, what is installed
#   fault    build-fault/   the same with fault points, and the tests
#   asan     build-asan/    clang, AddressSanitizer and UndefinedBehaviorSanitizer, fault points, tests, fuzz targets
#   coverage build-coverage/ not optimised, counts which lines and branches run (tools/coverage.sh)
# Warnings are errors in all but release; WERROR=true|false says otherwise. Output is shown only when something is wrong, or with VERBOSE=1.
set -euo pipefail
cd "$(dirname "$0")/.."

variant=${1:-release}
shift || true
export CC=${CC:-gcc}
options=()
[ "$variant" = release ] && werror=false || werror=true
case $variant in
release) dir=build options+=(--prefix "${PREFIX:-/usr/local}") ;;
fault) dir=build-fault options+=(-Dfault=true -Dtests=true) ;;
asan)
        dir=build-asan CC=clang
        options+=(-Dfault=true -Dtests=true -Dfuzz=true "-Db_sanitize=address,undefined"
                -Doptimization=1 -Db_lundef=false)
        ;;
coverage)
        dir=build-coverage
        options+=(-Dfault=true -Dtests=true -Db_coverage=true -Doptimization=0 -Dc_args=-fprofile-update=atomic)
        ;;
*)
        echo "build.sh: no variant '$variant'" >&2
        exit 2
        ;;
esac

options+=(-Dwerror="${WERROR:-$werror}")

# Meson does not see a new room or a new test file by itself: a changed list configures again.
list=$(
        echo "${options[*]} $CC"
        find src -name meson.build -o -path src/main.c -o -path src/base/banned.h | sort
        if [ "$dir" != build ]; then
                find tests -name 'test_*.c' -o -name 'fuzz_*.c' -o -path 'tests/lib/*.c' | sort
        fi
)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
        if [ "${VERBOSE:-0}" = 1 ]; then
                "$@"
        elif ! "$@" >"$log" 2>&1; then
                cat "$log" >&2
                return 1
        fi
}

if [ ! -f "$dir/build.ninja" ]; then
        rm -rf "$dir"
        quietly meson setup "$dir" "${options[@]}"
        printf '%s\n' "$list" >"$dir/.belay-list"
elif [ "$list" != "$(cat "$dir/.belay-list" 2>/dev/null)" ]; then
        quietly meson setup --reconfigure "$dir" "${options[@]}"
        printf '%s\n' "$list" >"$dir/.belay-list"
fi
quietly ninja -C "$dir" "$@"
# Warnings are shown also when they are not errors.
grep -A4 -E 'warning:' "$log" >&2 || true
