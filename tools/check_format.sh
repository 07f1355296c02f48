#!/bin/bash
# The C files are formatted as .clang-format says; `make format` mends it.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files -co --exclude-standard -z -- 'src/*.c' 'src/*.h' 'tests/*.c' 'tests/*.h' |
        xargs -0 -r -P2 -n8 clang-format-14 --dry-run -Werror
