#!/bin/bash
# Runs shellcheck over every shell script of the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files -co --exclude-standard -z | while IFS= read -r -d '' file; do
        if [ -f "$file" ] && head -c 40 -- "$file" | head -n 1 | grep -qaE '^#!.*[/ ](ba|da)?sh\b'; then
                printf '%s\0' "$file"
        fi
done | xargs -0 -r shellcheck -x -s bash
