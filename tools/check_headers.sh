#!/bin/bash
# Every header in src/ compiles alone.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
flags="-std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-unused-function -Wno-comment -fsyntax-only -Isrc \
        $(pkg-config --cflags jansson yaml-0.1 sqlite3 libcrypto libzstd libcurl)"
# shellcheck disable=SC2086,SC2016  # flags are words; the inner shell expands the rest
find src -name '*.h' ! -path src/base/banned.h -print0 | sort -z |
        xargs -0 -r -P2 -n1 sh -c 'printf "#include \"%s\"\n" "${1#src/}" |
                gcc '"$flags"' -xc - || { echo "$1: does not compile alone"; exit 1; }' check
