#!/bin/bash
# clang-tidy over src/, with the flags of the clang build.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/build.sh clang
git ls-files -z -- 'src/*.c' | xargs -0 -r -P2 -n4 clang-tidy-14 --quiet -p build-clang
