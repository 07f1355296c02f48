#!/bin/bash
# The main job on real input: make demo, make demo-clean.
# Everything is below ./demo (or $BELAY_DEMO_DIR); the app listens on $BELAY_DEMO_PORT or a free port.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
demo=${BELAY_DEMO_DIR:-$root/demo}
case $demo in
/*) ;;
*) demo=$PWD/$demo ;;
esac
app=$root/examples/notes
python=/usr/bin/python3
log=$demo/acknowledged.log

# Ends by its id every process of the demo: those whose command line or environment names its directory.
end_processes() {
        local found pid name
        for _ in 1 2 3 4 5 6 7 8 9 10; do
                found=0
                for pid in /proc/[0-9]*; do
                        pid=${pid#/proc/}
                        [ "$pid" = $$ ] && continue
                        name=$(cat "/proc/$pid/comm" 2>/dev/null) || continue
                        case $name in belay* | python3*) ;; *) continue ;; esac
                        if tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$demo/" ||
                                tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" | grep -qxF -- "BELAY_STATE=$demo/state" ||
                                [ "$(readlink "/proc/$pid/cwd")" = "$demo/notes" ]; then
                                kill -KILL "$pid" 2>/dev/null && found=1
                        fi
                done
                [ $found = 0 ] && return 0
                sleep 0.1
        done
        echo "some processes of the demo do not end" >&2
        return 1
}

clean() {
        [ -e "$demo" ] || { echo "there is no demo in $demo"; return 0; }
        if [ ! -e "$demo/.belay-demo" ]; then
                echo "$demo was not made by the demo: left as it is" >&2
                return 1
        fi
        if [ -x "$demo/belay" ]; then
                timeout 30 "$demo/belay" --yes stop notes >/dev/null 2>&1 || true
        fi
        end_processes && rm -rf "$demo" && echo "the demo is gone"
}

if [ "${1:-}" = clean ]; then
        clean
        exit
fi

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n== %s\n' "$*"; }

die() {
        echo "demo: $*" >&2
        echo "What there is stays in $demo; \`make demo-clean\` removes it." >&2
        exit 1
}

belay() {
        echo "\$ belay $*"
        "$demo/belay" "$@"
}

# expect STATUS... -- VERB...: runs belay, which must end with one of these.
expect() {
        local wanted=() status
        while [ "$1" != -- ]; do
                wanted+=("$1")
                shift
        done
        shift
        belay "$@"
        status=$?
        for one in "${wanted[@]}"; do
                [ "$status" = "$one" ] && return 0
        done
        die "\`belay $*\` ended with $status, not ${wanted[*]}"
}

users() {
        "$python" "$app/users.py" "$@"
}

newest_run() {
        find "$demo/state/runs" -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort -n | tail -n 1
}

now_ms() {
        date +%s%3N
}

version_now() {
        "$python" -c 'import json, sys, urllib.request as u
print(json.load(u.urlopen(sys.argv[1], timeout=5))["version"])' "http://127.0.0.1:$port/health" 2>/dev/null
}

must_be() {
        local version
        version=$(version_now)
        [ "$version" = "$1" ] || die "notes ${version:-nothing} serves, not $1"
        echo "-- notes $version serves"
}

[ -x "$root/build/belay" ] || die "build/belay is missing: run make first"
if [ -e "$demo" ]; then
        clean || exit 1
fi
mkdir -p "$demo"
touch "$demo/.belay-demo"
port=${BELAY_DEMO_PORT:-$("$python" -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')}

say "A git repository with four releases of a small web app, and a checkout of v1.0.0"
"$app/make-repo.sh" "$demo/repository" || die "the repository could not be made"
git -c advice.detachedHead=false clone -q -b v1.0.0 "$demo/repository" "$demo/notes" || die "git clone failed"
cp "$app/.env.example" "$demo/notes/.env"
sed "s/8000/$port/" "$app/belay.yaml" >"$demo/belay.yaml"
cat >"$demo/belay" <<END
#!/bin/sh
# belay for the demo: its manifest, its state directory
export BELAY_STATE='$demo/state'
exec '$root/build/belay' -f '$demo/belay.yaml' --state '$demo/state' "\$@"
END
chmod +x "$demo/belay"
git -C "$demo/repository" log --format='   %s' --reverse

say "The app under Belay, and users who write notes all the while"
expect 0 -- validate
expect 0 -- start notes
must_be 1.0.0
users write --port "$port" --log "$log" >/dev/null 2>&1 &
writer=$!
trap 'kill $writer 2>/dev/null' EXIT
sleep 1

say "Update to v1.1.0: backup, migration, checks, a short watch"
expect 0 -- --yes update notes v1.1.0
must_be 1.1.0
users check --port "$port" --log "$log" || die "acknowledged notes are missing"

say "Update to v1.2.0, which deletes everybody's notes two seconds after its start"
before=$(now_ms)
expect 3 -- --yes update notes v1.2.0
bad_run=$(newest_run)
must_be 1.1.0
echo "-- of what was written before that update:"
users check --port "$port" --log "$log" --before-ms "$before" || die "notes from before the update are missing"
echo "-- what was written while v1.2.0 served is kept as salvage:"
belay backup list notes

say "Update to v1.3.0, and kill -9 of Belay in the middle of it"
old_run=$(newest_run)
"$demo/belay" --yes update notes v1.3.0 >"$demo/killed.log" 2>&1 &
follower=$!
journal=
for _ in $(seq 1 2000); do
        run=$(newest_run)
        journal=$demo/state/runs/$run/journal
        [ "$run" != "$old_run" ] && grep -q ' ARM ' "$journal" 2>/dev/null && break
        kill -0 "$follower" 2>/dev/null || break
        sleep 0.005
done
grep -q ' ARM ' "$journal" || die "the update did not come as far as it should: $(cat "$demo/killed.log")"
runner=$(grep ' OWNER ' "$journal" | tail -n 1 | sed 's/.*"pid": *\([0-9]*\).*/\1/')
kill -KILL "$follower" "$runner" && echo "-- killed: the command (pid $follower) and the runner (pid $runner) of run #$run"
{ wait "$follower"; } 2>/dev/null
echo "-- the last it wrote in its journal: $(tail -n 1 "$journal" | cut -c1-100)"
expect 0 3 -- --yes resume "$run"
if [ "$(version_now)" = 1.1.0 ]; then
        echo "-- run #$run was rolled back: what it was doing could not be finished safely. Once more:"
        expect 0 -- --yes update notes v1.3.0
fi
must_be 1.3.0

kill "$writer" 2>/dev/null
{ wait "$writer"; } 2>/dev/null
trap - EXIT
say "Where we are"
expect 0 -- status
expect 0 -- runs
expect 0 -- report "$bad_run"

cat <<END

The app still runs: http://127.0.0.1:$port/notes
What to type next:
  ${demo#"$PWD"/}/belay status                 what runs
  ${demo#"$PWD"/}/belay show $bad_run                 the run that was rolled back, step by step
  ${demo#"$PWD"/}/belay backup list notes      all backups, salvage too
  ${demo#"$PWD"/}/belay --yes rollback notes   back to the version before
  make demo-clean                   removes all of it
END
