#!/bin/sh
# Starts the server on a free port with a database of its own, and drives it with the official helper libraries.
#
# Libraries are installed below target/clients once; a change of their lists installs them anew. SWITCHHOOK_BIN names
# the program to test; otherwise it is the newer one of target/debug and target/release.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
clients="$root/tests/clients"
cache="$root/target/clients"
work=
server=

say() { printf '%s\n' "$*"; }

fail() {
    say "test-clients: $*" >&2
    exit 1
}

finish() {
    status=$?
    trap - EXIT INT TERM
    if [ -n "$server" ]; then
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    if [ "$status" -ne 0 ] && [ -n "$work" ] && [ -f "$work/server.log" ]; then
        say "The last lines of the server's log:" >&2
        tail -n 20 "$work/server.log" >&2
    fi
    [ -z "$work" ] || rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

command -v python3 >/dev/null || fail "python3 was not found; the suite for the Python library needs Python 3.9 or newer"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' || fail "$(python3 --version) is too old; 3.9 or newer is needed"
python3 -c 'import venv, ensurepip' 2>/dev/null || fail "Python's venv module is missing. Debian and Ubuntu: apt-get install python3-venv"
command -v node >/dev/null || fail "node was not found; the suite for the Node library needs Node.js 20 or newer"
node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' || fail "Node.js $(node --version) is too old; 20 or newer is needed"
command -v npm >/dev/null || fail "npm was not found; it installs the Node library"

# Runs the set-up $3… unless the list $1 is the one that the stamp $2 remembers.
set_up() {
    list=$1
    stamp=$2
    shift 2
    if ! cmp -s "$list" "$stamp"; then
        "$@"
        cp "$list" "$stamp"
    fi
}

set_up_python() {
    say "Installing the Python library…"
    rm -rf "$cache/python"
    python3 -m venv "$cache/python" || fail "no virtual environment could be made"
    "$cache/python/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --requirement "$clients/python/requirements.txt" || fail "the Python library could not be installed"
}

set_up_node() {
    say "Installing the Node library…"
    rm -rf "$cache/node"
    mkdir -p "$cache/node"
    cp "$clients/node/package.json" "$clients/node/package-lock.json" "$cache/node/"
    (cd "$cache/node" && npm ci --silent --ignore-scripts --no-audit --no-fund) ||
        fail "the Node library could not be installed"
}

mkdir -p "$cache"
set_up "$clients/python/requirements.txt" "$cache/python.stamp" set_up_python
set_up "$clients/node/package-lock.json" "$cache/node.stamp" set_up_node

program=${SWITCHHOOK_BIN:-}
if [ -z "$program" ]; then
    program="$root/target/debug/switchhook"
    release="$root/target/release/switchhook"
    if [ ! -x "$program" ] || [ "$release" -nt "$program" ]; then
        program=$release
    fi
fi
[ -x "$program" ] || fail "$program was not found; build it first: cargo build"

# The settings of whoever runs this must not reach the server.
for name in $(env | sed -n 's/^\(SWITCHHOOK_[A-Z_]*\)=.*/\1/p'); do
    unset "$name"
done
work=$(mktemp -d)
say "Starting $program…"
(cd "$work" && exec "$program" serve --listen 127.0.0.1:0 --database "sqlite:$work/clients.db") \
    >"$work/server.out" 2>"$work/server.log" &
server=$!
waited=0
until grep -q '^Switchhook listens on ' "$work/server.out"; do
    kill -0 "$server" 2>/dev/null || fail "the server ended before it listened"
    waited=$((waited + 1))
    [ "$waited" -le 300 ] || fail "the server did not listen within 30 seconds"
    sleep 0.1
done
SWITCHHOOK_URL=$(sed -n 's/^Switchhook listens on //p' "$work/server.out")
SWITCHHOOK_ACCOUNT_SID=$(sed -n 's/^SWITCHHOOK_ACCOUNT_SID=//p' "$work/server.out")
SWITCHHOOK_AUTH_TOKEN=$(sed -n 's/^SWITCHHOOK_AUTH_TOKEN=//p' "$work/server.out")
export SWITCHHOOK_URL SWITCHHOOK_ACCOUNT_SID SWITCHHOOK_AUTH_TOKEN

failed=
say "Python, twilio $(sed -n 's/^twilio==//p' "$clients/python/requirements.txt"):"
# shellcheck disable=SC2086 # PYTHON_TESTS may hold several words.
(cd "$clients/python" && PYTHONDONTWRITEBYTECODE=1 "$cache/python/bin/python" -m pytest --quiet -p no:cacheprovider \
    ${PYTHON_TESTS:-.}) || failed="$failed Python"
say "Node, twilio $(sed -n 's/.*"twilio": "\(.*\)".*/\1/p' "$clients/node/package.json"):"
# shellcheck disable=SC2086
(cd "$clients/node" && NODE_PATH="$cache/node/node_modules" node --test --test-reporter=spec \
    ${NODE_TESTS:-}) || failed="$failed Node"
kill -0 "$server" 2>/dev/null || fail "the server ended during the tests"
[ -z "$failed" ] || fail "there were failures:$failed"
say "The official libraries get along with the server."
