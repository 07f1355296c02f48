#!/bin/bash
# codespell over all that is text. The words let through are misspelt on purpose, by tests.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files -co --exclude-standard -z -- ':!tests/fuzz/corpus' |
        xargs -0 -r codespell --ignore-regex '\\[nt]' -L chanel,fo,nd,te,timeot,timout,udpate,upate
