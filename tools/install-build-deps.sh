#!/bin/bash
# Installs what building and using Belay needs. Says nothing and takes no time when all is there.
set -euo pipefail
# shellcheck source=tools/install-deps.sh
. "$(dirname "$0")/install-deps.sh"

need gcc libc6-dev make meson ninja-build pkg-config git ca-certificates
need libjansson-dev libyaml-dev libsqlite3-dev libssl-dev libzstd-dev
need libcurl4-openssl-dev
need python3 scdoc
install_needed
