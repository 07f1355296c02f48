#!/bin/bash
# valgrind over the tests' programs and over one whole update that is rolled back and one that succeeds.
#   tools/check_valgrind.sh sample   a few programs and the update
#   tools/check_valgrind.sh all      every program of unit/ that starts no other one, and the update
# Nothing of Belay's own is suppressed.
set -euo pipefail
cd "$(dirname "$0")/.."
export BELAY_VALGRIND=1
options=(-q --error-exitcode=99 --leak-check=full "--errors-for-leak-kinds=definite,indirect"
        --track-fds=no --child-silent-after-fork=yes --fair-sched=no)
sample=(base-test_err base-test_str base-test_version base-test_edges journal-test_record journal-test_run_state
        engine-test_next engine-test_engine manifest-test_manifest manifest-test_bad_manifest
        model-test_envfile config-test_env backup-test_backup_store)

programs() {
        local one
        if [ "$1" = all ]; then
                find build-fault/tests -maxdepth 1 -type f -perm -1 -name 'unit-*' | sort
                return
        fi
        for one in "${sample[@]}"; do
                [ -x "build-fault/tests/unit-$one" ] && echo "build-fault/tests/unit-$one"
        done
        return 0
}

mapfile -t found < <(programs "${1:-sample}")
# shellcheck disable=SC2016  # the inner shell expands it
printf '%s\0' "${found[@]}" | xargs -0 -P"$(nproc)" -I{} bash -c '
        program=$1
        shift
        log=$(mktemp)
        if ! valgrind "$@" "$program" >"$log" 2>&1; then
                echo "$program:"
                grep -aE "^==|not ok|ERROR" "$log" | head -n 40
                rm -f "$log"
                exit 1
        fi
        rm -f "$log"' check {} "${options[@]}"
echo "figure: valgrind: ${#found[@]} programs of the tests"
