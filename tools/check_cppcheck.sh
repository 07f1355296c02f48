#!/bin/bash
# cppcheck over src/. Suppressed, each for all files:
#   resourceLeak                  it does not know `scoped` (base/own.h); AddressSanitizer and valgrind do
#   readdirCalled, getpwuidCalled Belay has no threads of its own
set -euo pipefail
cd "$(dirname "$0")/.."
cppcheck -q -j2 --error-exitcode=1 --enable=warning,performance,portability --std=c11 \
        -D_GNU_SOURCE -DBELAY_FAULT_POINTS '-DBELAY_VERSION="x"' -Isrc \
        --library=posix --library=tools/cppcheck.cfg --inline-suppr \
        --suppress=resourceLeak --suppress=readdirCalled --suppress=getpwuidCalled \
        --template='{file}:{line}: {severity}: {message} [{id}]' src
