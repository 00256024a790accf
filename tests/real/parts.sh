# shellcheck shell=bash
# parts.sh - sourced: the real servers, installed once into virtual environments.
#
# Each part lives in a cache folder named by a hash of its pins, so a second run finds it
# there and changed pins get a folder of their own. An installation becomes visible whole
# (renamed into place) or not at all, and two runs at once install once.
#
#   REPRISE_CACHE         where the cache is (default ~/.cache/reprise)
#   REPRISE_REQUIRE_REAL  1: a registry out of reach is a failure, not a skip (exit 77)
#   PYTHON                the interpreter that makes the environments (default python3)

real=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parts_cache=${REPRISE_CACHE:-$HOME/.cache/reprise}/real
python=${PYTHON:-python3}
declare -A part_dir=() # by name of the part: the folder of its environment

die() { echo "check-real: $*" >&2; exit 1; }

# Only for what this machine lacks and no change to this repository could mend.
skip() {
    [ "${REPRISE_REQUIRE_REAL:-0}" = 1 ] && die "$* (REPRISE_REQUIRE_REAL=1 forbids the skip)"
    echo "check-real: skipped: $*"
    exit 77
}

# What pip says when it could not talk to its registry, as against refusing what it got.
readonly unreachable='Failed to establish a new connection|Temporary failure in name resolution'\
'|Name or service not known|Network is unreachable|No route to host|Connection refused|ProxyError'\
'|Read timed out|ReadTimeoutError|ConnectTimeout|Connection reset|50[0-9] (Server|Bad|Service|Gateway)'

# pip_install VENV LOG ARGUMENT... : tries three times, as registries have bad minutes.
pip_install() {
    local venv=$1 log=$2 try
    shift 2
    for try in 1 2 3; do
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
            --retries 5 --timeout 60 "$@" >"$log" 2>&1 && return 0
        [ "$try" = 3 ] || { echo "check-real: pip failed (attempt $try), trying again" >&2; sleep $((try * 5)); }
    done
    return 1
}

# part NAME : sets part_dir[NAME] to the environment that NAME/requirements.txt describes; these
# pin everything, so nothing else is resolved. When a function finish_NAME exists, it
# completes a new environment ($1: its folder).
part() {
    local name=$1 requirements=$real/$1/requirements.txt version hash new log
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') \
        || skip "no working '$python'"
    hash=$({ echo "$version $(uname -m)"; cat "$requirements"; declare -f "finish_$name"; } |
        sha256sum | cut -c1-12)
    local dir=$parts_cache/$name-$hash
    mkdir -p "$parts_cache"
    exec {part_lock}>"$parts_cache/$name.lock"
    flock "$part_lock"
    if [ ! -d "$dir" ]; then
        echo "check-real: installing $name into $dir"
        new=$dir.tmp log=$parts_cache/$name.log
        rm -rf "$new"
        "$python" -m venv "$new" || die "'$python -m venv' failed: on Debian, install python3-venv"
        if ! pip_install "$new" "$log" --no-deps -r "$requirements"; then
            tail -n 5 "$log" >&2
            grep -Eq "$unreachable" "$log" && skip "the Python package registry cannot be reached"
            die "pip cannot install $requirements; its whole output is in $log"
        fi
        if declare -F "finish_$name" >/dev/null; then
            "finish_$name" "$new" || die "$name was installed but could not be completed"
        fi
        mv "$new" "$dir"
    fi
    # shellcheck disable=SC2034  # servers.sh uses it
    part_dir[$name]=$dir
    exec {part_lock}>&-
}

# Triton starts its python models in a program of its own, one for each Python version; it
# looks for it among its backends.
finish_triton() {
    local server stub
    server=$(echo "$1"/lib/python*/site-packages/pytriton/tritonserver)
    stub=$server/python_backend_stubs/$("$1/bin/python" -c \
        'import sys; print("%d.%d" % sys.version_info[:2])')/triton_python_backend_stub
    [ -f "$stub" ] || { echo "this Triton has no stub for the Python of '$python'" >&2; return 1; }
    if ldd "$stub" | grep 'not found' >&2; then
        echo "the python backend lacks these libraries (Debian: libpython3.11)" >&2
        return 1
    fi
    install -m 755 "$stub" "$server/backends/python/"
}

install_parts() {
    local name
    for name in envoy mlserver triton; do part "$name"; done
}
