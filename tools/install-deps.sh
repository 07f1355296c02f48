# Sourced by the two scripts beside it.
needed=()

need() {
        needed+=("$@")
}

install_needed() {
        if ! command -v dpkg-query >/dev/null; then
                echo "not a Debian system: please install by hand: ${needed[*]}" >&2
                return 0
        fi
        local missing=() package present
        present=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${needed[@]}" 2>/dev/null || true)
        for package in "${needed[@]}"; do
                grep -qx "$package installed" <<<"$present" || missing+=("$package")
        done
        [ ${#missing[@]} -eq 0 ] && return 0

        local as_root=()
        if [ "$(id -u)" -ne 0 ]; then
                if ! command -v sudo >/dev/null; then
                        echo "missing packages, and neither root nor sudo to install them: ${missing[*]}" >&2
                        return 1
                fi
                as_root=(sudo)
        fi
        echo "installing: ${missing[*]}"
        local log
        log=$(mktemp)
        if ! { "${as_root[@]}" apt-get update -q &&
                "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
                        apt-get install -qy --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
                tail -n 30 "$log" >&2
                rm -f "$log"
                return 1
        fi
        rm -f "$log"
}
