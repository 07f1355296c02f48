#!/bin/bash
# Installs what the tests need beyond building. Says nothing when all is there.
set -euo pipefail
# shellcheck source=tools/install-deps.sh
. "$(dirname "$0")/install-deps.sh"

need clang-14 clang clang-format-14 clang-tidy-14 libclang-rt-14-dev
need make gcc libcmocka-dev python3 python3-pytest python3-pytest-xdist python3-venv python3-yaml
need cppcheck codespell shellcheck valgrind gcovr
need systemd systemd-container zsh fish python3-jsonschema
need openssl strace pmccabe sqlite3 zstd tar procps curl e2fsprogs
install_needed
