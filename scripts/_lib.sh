# Sourced by the scripts beside it.  Needs bash; leaves the caller in the project's root.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
root=$(pwd -P)
venv=$root/.venv

# Every Debian package that something in the project needs, by who needs it.
debian_for_tests=(curl socat netcat-openbsd openssl chromium libssl-dev nghttp2-client)
debian_for_load=(wrk nghttp2-client nginx libssl-dev openssl)
debian_for_services=(redis-server redis-sentinel mariadb-server postgresql rabbitmq-server mosquitto)
debian_for_drivers=(libmariadb-dev gcc python3-dev pkg-config)
debian_for_soak=(slowhttptest libfaketime iproute2 iptables)
debian_for_deploy=(nginx libnginx-mod-stream haproxy systemd docker-compose)

say() { printf '%s\n' "$*"; }

stop() {
    printf '%s\n' "$*" >&2
    exit 1
}

# The comment at the top of the calling script is its help.
help() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$root/scripts/${0##*/}"; }

# step TITLE COMMAND...: run a part of the work, say how long it took; gives the command's status.
step() {
    local title=$1 status=0 start=$SECONDS
    shift
    say "== $title"
    "$@" || status=$?
    if [ "$status" -eq 0 ]; then say "   ok, $((SECONDS - start)) s"; else say "   FAILED, $((SECONDS - start)) s"; fi
    return "$status"
}

# quietly LOG COMMAND...: keep the output in LOG.
quietly() {
    local log=$1
    shift
    "$@" >"$log" 2>&1
}

# need_debian PACKAGE...: install those that are missing.
need_debian() {
    local package missing=() sudo=() log policy=/usr/sbin/policy-rc.d made="" status=0
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        say "   this is not a Debian machine: what these packages hold must be there already: $*"
        return 0
    fi
    for package in "$@"; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || stop "These Debian packages are missing and this user may not install them; as root: apt-get install ${missing[*]}"
        sudo=(sudo -n)
    fi
    say "   installing from Debian: ${missing[*]}"
    log=$(mktemp)
    if ! [ -e "$policy" ]; then # Debian asks it whether servers are to be started that were just installed: tests start their own
        made=$policy
        printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$made" >/dev/null && "${sudo[@]}" chmod 755 "$made"
    fi
    quietly "$log" "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
        quietly "$log" "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" ||
        status=$?
    if [ -n "$made" ]; then "${sudo[@]}" rm -f "$made"; fi
    if [ "$status" -ne 0 ]; then
        tail -n 5 "$log" >&2
        stop "The Debian packages ${missing[*]} could not be installed (is there a network?); apt-get's last words are above."
    fi
    rm -f "$log"
}

# The first Python on this machine that is new enough.
find_python() {
    local name
    for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

make_venv() {
    local python log
    python=$(find_python) || stop "Python 3.11 or newer is needed; put it on the PATH or name it: PYTHON=/path/to/python $0"
    "$python" -c 'import venv, ensurepip' 2>/dev/null || need_debian python3-venv
    log=$(mktemp)
    rm -rf "$venv"
    quietly "$log" "$python" -m venv "$venv" || {
        tail -n 5 "$log" >&2
        stop "The virtual environment $venv could not be made; the reason is above."
    }
    rm -f "$log"
}

# need_venv [EXTRA]: .venv exists and holds greenimi (editable) with that extra.  Does nothing when what it depends on has not changed.
need_venv() {
    local extra=${1:-} wanted stamp log
    wanted=$(cat setup.cfg pyproject.toml | sha256sum | cut -d ' ' -f 1)" $root"
    stamp=$venv/.greenimi-installed${extra:+-$extra}
    if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return 0; fi
    # A virtual environment that was copied from another folder still points there.
    if ! [ "$("$venv/bin/python" -c 'import sys, pip; print(sys.prefix)' 2>/dev/null)" = "$venv" ] || ! grep -qsF "$venv/" "$venv/bin/pip"; then
        step "make .venv" make_venv || exit
    fi
    if [ "$extra" = dev ]; then need_debian "${debian_for_drivers[@]}"; fi  # some of its packages are compiled
    step "install greenimi${extra:+[$extra]} into .venv" install_greenimi "$extra"
    printf '%s\n' "$wanted" >"$stamp"
}

install_greenimi() {
    local log
    log=$(mktemp)
    quietly "$log" "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".${1:+[$1]}" || {
        grep -v '^WARNING' "$log" | tail -n 5 >&2
        stop "The Python packages could not be installed (is there a network?); pip's last words are above."
    }
    rm -f "$log"
}
