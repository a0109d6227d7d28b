#!/bin/sh
# Drives a running server with the official SDK for agents' browsers, in Node and in a page of Chromium.
#
# Packages are installed below target/agents once; a change of their list installs them anew. SWITCHHOOK_BIN names the
# program to test; otherwise it is the newer one of target/debug and target/release. CHROMIUM_BIN names the browser;
# otherwise it is looked for and, for the super-user of a Debian, installed.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
agents="$root/tests/agents"
cache="$root/target/agents"

say() { printf '%s\n' "$*"; }

fail() {
    say "test-agents: $*" >&2
    exit 1
}

command -v node >/dev/null || fail "node was not found; the suite needs Node.js 20.14 or newer"
node -e 'const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit(major > 20 || (major === 20 && minor >= 14) ? 0 : 1)' ||
    fail "Node.js $(node --version) is too old; 20.14 or newer is needed"
command -v npm >/dev/null || fail "npm was not found; it installs the SDK"

find_chromium() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" && return
    done
    return 0
}

install_chromium() {
    say "Installing Chromium…"
    install="apt-get install --yes --quiet --no-install-recommends -o DPkg::Lock::Timeout=300 chromium"
    $install >"$cache/chromium.log" 2>&1 || { apt-get update && $install; } >"$cache/chromium.log" 2>&1 ||
        fail "Chromium could not be installed; $cache/chromium.log tells why"
}

mkdir -p "$cache"
chromium=${CHROMIUM_BIN:-$(find_chromium)}
if [ -z "$chromium" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    install_chromium
    chromium=$(find_chromium)
fi
[ -n "$chromium" ] || fail "Chromium was not found. Debian: apt-get install chromium; elsewhere set CHROMIUM_BIN to a \
Chromium or Chrome"
[ -x "$chromium" ] || fail "$chromium, which CHROMIUM_BIN names, cannot be run"

if ! cmp -s "$agents/package-lock.json" "$cache/node.stamp"; then
    say "Installing the SDK…"
    rm -rf "$cache/node"
    mkdir -p "$cache/node"
    cp "$agents/package.json" "$agents/package-lock.json" "$cache/node/"
    (cd "$cache/node" && npm ci --silent --ignore-scripts --no-audit --no-fund) || fail "the SDK could not be installed"
    cp "$agents/package-lock.json" "$cache/node.stamp"
fi

program=${SWITCHHOOK_BIN:-}
if [ -z "$program" ]; then
    program="$root/target/debug/switchhook"
    release="$root/target/release/switchhook"
    if [ ! -x "$program" ] || [ "$release" -nt "$program" ]; then
        program=$release
    fi
fi
[ -x "$program" ] || fail "$program was not found; build it first: cargo build"

say "twilio-taskrouter $(sed -n 's/.*"twilio-taskrouter": "\(.*\)".*/\1/p' "$agents/package.json") against $program:"
# shellcheck disable=SC2086 # AGENT_TESTS may hold several words.
(cd "$agents" && SWITCHHOOK_BIN="$program" CHROMIUM_BIN="$chromium" NODE_PATH="$cache/node/node_modules" \
    node --test --test-force-exit --test-concurrency=2 --test-reporter=spec ${AGENT_TESTS:-}) ||
    fail "there were failures"
say "The official SDK gets along with the server."
