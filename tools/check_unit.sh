#!/bin/bash
# The whole program seen as one unit: declarations agree across files, nothing but main is exported,
# and no function is there that main does not reach. What only tests call is dead, too.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
packages="jansson yaml-0.1 sqlite3 libcrypto libzstd"
# shellcheck disable=SC2046,SC2086,SC2207  # flags are words
{
        flags=(-std=gnu11 -D_GNU_SOURCE '-DBELAY_VERSION="one unit"' -Isrc -include src/base/banned.h
                -Wall -Werror -Wno-comment -ffunction-sections $(pkg-config --cflags $packages libcurl))
        libraries=($(pkg-config --libs $packages) -lpthread)
}

# Not optimised: a function that is used in its own file would be inlined and look dead.
git ls-files -co --exclude-standard -z -- 'src/*.c' ':!src/exec' |
        xargs -0 -r -P2 -n8 tools/compile_into.sh "$work" "${flags[@]}" -O0 -flto -ffat-lto-objects --

# Only tests look with these, at what the program does itself elsewhere or in another way.
kept='^(http_failure_name|journal_dead|journal_freep|lock_owner_text|is_shown|process_find_marked|source_findings_ok|tree_size|visit_size)$'

status=0
dead=$(gcc -fno-lto -Wl,--gc-sections,--print-gc-sections -o "$work/plain" "$work"/*.o \
        "${libraries[@]}" 2>&1 | sed -n "s|.*'\.text\.\([^']*\)' in file '$work/\(.*\)\.o'.*|\1 \2|p" |
        awk -v kept="$kept" '$1 !~ kept {print $2 ": " $1 "()"}')
if [ -n "$dead" ]; then
        printf 'nothing calls these functions:\n%s\n' "${dead//+//}" >&2
        status=1
fi

gcc -flto=2 -fwhole-program -O1 -Werror -Wl,--gc-sections -o "$work/one" "$work"/*.o "${libraries[@]}"
exported=$(nm --defined-only --extern-only "$work/one" | awk '$2 == "T" {print $3}' |
        grep -vxE '_init|_fini|_start' | sort | tr '\n' ' ')
if [ "$exported" != "main " ]; then
        echo "exported beside main: $exported" >&2
        status=1
fi
exit $status
