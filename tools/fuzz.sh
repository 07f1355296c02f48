#!/bin/bash
# The fuzz targets of tests/fuzz, built by `tools/build.sh asan`.
#   tools/fuzz.sh replay           every input of the corpora once
#   tools/fuzz.sh run SECONDS [N]  all targets so long, as many at a time as there are processors
#   tools/fuzz.sh keep NAME FILE   adds an input to a corpus, under the name of its content
# What is found is left in build-asan/fuzz/NAME/. An input that takes more than a second of the
# processor is a finding, too.
set -euo pipefail
cd "$(dirname "$0")/.."
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1
SLOW_MS=1000

length_of() {
        case $1 in
        archive) echo 12288 ;;
        version) echo 300 ;;
        *) echo 4096 ;;
        esac
}

targets() {
        local file name
        for file in tests/fuzz/fuzz_*.c; do
                name=${file#tests/fuzz/fuzz_}
                name=${name%.c}
                [ "$name" = dir ] || printf '%s\n' "${name//_/-}"
        done
}

replay() {
        local name count=0
        for name in $(targets); do
                [ -n "$(ls -A "tests/fuzz/corpus/$name" 2>/dev/null)" ] ||
                        { echo "the target $name has no corpus" >&2; return 1; }
                "build-asan/tests/fuzz-$name" -runs=0 -timeout=60 -artifact_prefix=build-asan/ "tests/fuzz/corpus/$name" >"build-asan/fuzz-$name.log" 2>&1 ||
                        { tail -n 60 "build-asan/fuzz-$name.log" >&2; return 1; }
                count=$((count + $(find "tests/fuzz/corpus/$name" -type f | wc -l)))
        done
        echo "figure: replayed $count inputs of $(targets | wc -l) targets"
}

# The processor's time that this input takes alone, in ms.
cost_of() {
        local TIMEFORMAT=%U
        { time "build-asan/tests/fuzz-$1" "$2" >/dev/null 2>&1; } 2>&1 | awk '{print int($1 * 1000)}'
}

run_one() {
        local name=$1 seconds=$2 out=build-asan/fuzz/$1 options=() slow cost
        rm -rf "$out"
        mkdir -p "$out/corpus" "$out/found"
        [ -e "tests/fuzz/$name.dict" ] && options+=(-dict="tests/fuzz/$name.dict")
        if ! "build-asan/tests/fuzz-$name" -max_total_time="$seconds" -max_len="$(length_of "$name")" -timeout=30 \
                -report_slow_units=1 -rss_limit_mb=2048 -artifact_prefix="$out/found/" "${options[@]}" \
                "$out/corpus" "tests/fuzz/corpus/$name" >"$out/log" 2>&1; then
                echo "fuzz-$name found something:" >&2
                grep -avE '^#[0-9]+|NEW_FUNC|^INFO' "$out/log" | tail -n 60 >&2
                return 1
        fi
        for slow in "$out"/found/slow-unit-*; do
                [ -e "$slow" ] || continue
                cost=$(cost_of "$name" "$slow")
                [ "$cost" -gt $SLOW_MS ] || continue
                echo "fuzz-$name: $slow takes $cost ms" >&2
                return 1
        done
        echo "figure: fuzz-$name: $(grep -oE 'Done [0-9]+ runs' "$out/log" | grep -oE '[0-9]+') inputs in $seconds s"
}

case ${1:-} in
replay) replay ;;
run)
        seconds=$2
        shift 2
        [ $# -gt 0 ] || mapfile -t names < <(targets)
        printf '%s\0' "${@:-${names[@]}}" |
                xargs -0 -P"$(nproc)" -I{} "$0" one {} "$seconds"
        ;;
one) run_one "$2" "$3" ;;
keep) cp -- "$3" "tests/fuzz/corpus/$2/$(sha1sum "$3" | cut -c1-12)" ;;
*)
        sed -n '2,7s/^# \?//p' "$0" >&2
        exit 2
        ;;
esac
