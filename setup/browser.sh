# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
# What tests of pages need: a browser without a window (Debian's) and a headset emulated in a page (npm's iwer).
# Nothing here ends the set-up: without these, those tests are skipped and say which line is missing.
# Sourced by setup/run.sh, which defines venv, stamps, say and quietly.

browser_setup=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
browser_package=chromium-headless-shell # a quarter smaller than chromium, from the same source
iwer_version=2.5.0
iwer_sha512=82babb88cc96a38b360d89c04ca2cf3e8001ca170dbb02e33071ce20bac553dabc1061c81331f252eab59b3fbd5eacbafb1ad83e7dc7a3c67d7b2999084f83eb

# The same that tests/headless_browser.py looks for.
browser_is_there() {
    [ -n "${GR00T_CHROMIUM:-}" ] || command -v "/usr/lib/chromium/$browser_package" chromium google-chrome google-chrome-stable >/dev/null
}

# attempt NAME TEXT COMMAND...: like step, but a failure is only told; what failed is tried again on another day.
attempt() {
    local mark="$stamps/failed-$1" text=$2
    shift 2
    if [ "$(cat "$mark" 2>/dev/null)" = "$(date +%F)" ]; then return; fi
    say "$text"
    if quietly "$@"; then
        rm -f "$mark"
    else
        say "  not possible here (all output: $log); the tests that need it will be skipped"
        date +%F >"$mark"
    fi
}

# Only downloads have a time limit: an apt-get that is ended while it unpacks leaves half a package.
install_browser() {
    local get=(apt-get -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=60)
    local install=("${get[@]}" install -y --no-install-recommends)
    export DEBIAN_FRONTEND=noninteractive
    timeout 120 "${get[@]}" update && timeout 600 "${install[@]}" --download-only "$browser_package" &&
        "${install[@]}" "$browser_package"
}

# By npm where it is, so that a user's registry, proxy and certificates count; else by Python from npm's registry, as on a bare
# Debian. The tarball is checked against the hash above either way.
fetch_iwer_tarball() {
    if command -v npm >/dev/null && timeout 120 npm pack --prefer-offline --fetch-retries=0 "iwer@$iwer_version"; then return; fi
    local python="$venv/bin/python"
    [ -x "$python" ] || python=python3
    timeout 120 "$python" "$browser_setup/fetch_npm_package.py" iwer "$iwer_version" "$1"
}

fetch_iwer() {
    local name="iwer-$iwer_version" folder="$venv/share/iwer"
    rm -rf "$folder" && mkdir -p "$folder" && cd "$folder" && fetch_iwer_tarball "$name.tgz" &&
        printf '%s  %s\n' "$iwer_sha512" "$name.tgz" | sha512sum --check &&
        tar -xzf "$name.tgz" package/build/iwer.min.js package/LICENSE && mv package/LICENSE . &&
        mv package/build/iwer.min.js "$name.min.js" && rm -r package "$name.tgz"
}

set_up_browser() {
    if ! browser_is_there && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        attempt browser "Installing a browser for tests of pages ($browser_package, 100 MB)" install_browser
    fi
    if [ -n "${GR00T_IWER:-}" ]; then return; fi
    if browser_is_there && [ ! -f "$venv/share/iwer/iwer-$iwer_version.min.js" ]; then
        attempt iwer "Fetching an emulated headset for tests of the operator page (package iwer of npm)" fetch_iwer
    fi
}
