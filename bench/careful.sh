#!/bin/bash
# An update by hand as a careful person's script does it, for comparison: stop, back up, check out, install,
# migrate, start, look whether it answers. Dependencies there are none.
#   careful.sh APP TAG PORT BACKUP PIDFILE MIGRATION CONTENT... -- COMMAND...
# COMMAND is the service's; CONTENT what is to be backed up. Kind to itself in three ways: it fetches before
# the stop, does not wait until the copy is on disk, and does not read it again.
set -euo pipefail
app=$1 tag=$2 port=$3 backup=$4 pidfile=$5 migration=$6
shift 6
contents=()
while [ "$1" != -- ]; do
        contents+=("$1")
        shift
done
shift

answers() {
        exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
        printf 'GET /health HTTP/1.0\r\n\r\n' >&3
        local status
        read -r status <&3
        exec 3>&- 3<&-
        [[ $status == *" 200 "* ]]
}

cd "$app"
git fetch -q origin tag "$tag"

pid=$(cat "$pidfile")                           # 1. stop
kill -TERM "$pid"
while kill -0 "$pid" 2>/dev/null; do
        sleep 0.005
done
mkdir -p "$backup"                              # 2. back up
cp -a "${contents[@]}" "$backup/"
git checkout -q --detach "$tag"                 # 3. check out
/usr/bin/python3 -S -E "$migration"             # 5. migrate
"$@" >>"$pidfile.log" 2>&1 </dev/null &         # 6. start
echo $! >"$pidfile"
for _ in $(seq 1 500); do                       # 7. health
        if answers 2>/dev/null; then
                exit 0
        fi
        sleep 0.005
done
echo "the service does not answer" >&2
exit 1
