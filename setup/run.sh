#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up all that the suite needs inside this folder: system packages, .venv, Python packages, the colcon build.
# What is done already is skipped: each step leaves a stamp with the hash of what it was made from.
#
#   setup/run.sh                    what `make demo` needs
#   setup/run.sh --dev              the tools for tests and checks too, among them a browser when root
#   setup/run.sh --packages-only    all but the build of the workspace
#
# GR00T_TORCH=cuda takes torch with CUDA; PYTHON=/path/to/python3.12 chooses the interpreter.
set -eo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
venv="$root/.venv"
stamps="$venv/stamps"
peers="$root/build/peer_messages/install"
log="$root/log/setup.log"
# shellcheck source=setup/system.sh
source "$root/setup/system.sh"
# shellcheck source=setup/python.sh
source "$root/setup/python.sh"
# shellcheck source=setup/browser.sh
source "$root/setup/browser.sh"

say() { printf '\033[2m[%4d s]\033[0m %s\n' "$SECONDS" "$*"; }

fail() {
    printf 'set-up failed: %s\n' "$*" >&2
    exit 1
}

# Runs a command into the log; a terminal shows the log's last line meanwhile.
quietly() {
    printf '\n$ %s\n' "$*" >>"$log"
    "$@" >>"$log" 2>&1 &
    local pid=$!
    if [ -t 1 ]; then
        while kill -0 "$pid" 2>/dev/null; do
            printf '\r\033[K\033[2m[%4d s]   %.70s\033[0m' "$SECONDS" "$(tail -n 1 "$log" | tr -cd '[:print:]')"
            sleep 1
        done
        printf '\r\033[K'
    fi
    wait "$pid"
}

# The same; a failure ends the set-up and shows the last lines.
logged() {
    if ! quietly "$@"; then
        tail -n 25 "$log" >&2
        fail "'$1 ${2:-} ${3:-}' (all output: $log)"
    fi
}

# step NAME KEY TEXT COMMAND...: runs the command unless it already succeeded with this key.
step() {
    local name=$1 key=$2 text=$3
    shift 3
    if [ "$(cat "$stamps/$name" 2>/dev/null)" = "$key" ]; then return; fi
    say "$text"
    rm -f "$stamps/$name"
    "$@"
    mkdir -p "$stamps"
    printf '%s\n' "$key" >"$stamps/$name"
}

hash_of() { cat "$@" | sha256sum | cut -d' ' -f1; }

# Everything but Python sources and data below launch/ and config/, which the build only links to.
workspace_key() {
    (
        cd "$root"
        {
            find src \( -name package.xml -o -name setup.py -o -name setup.cfg -o -name CMakeLists.txt -o -path '*/msg/*.msg' \
                -o -path '*/srv/*.srv' -o -path '*/action/*.action' \) -type f
            echo colcon.meta
        } | LC_ALL=C sort | xargs sha256sum
        find src -path '*/launch/*' -o -path '*/config/*' | grep -v __pycache__ | LC_ALL=C sort
        cat "$stamps/python-ros" "$stamps/python-build" 2>/dev/null
    ) | sha256sum | cut -d' ' -f1
}

build_workspace() {
    cd "$root"
    # Renamed or deleted interfaces would live on in the generated package.
    if ! cmp -s "$stamps/interfaces" <(list_interfaces); then rm -rf build/gr00t_msgs install/gr00t_msgs; fi
    local options=("-DPython3_EXECUTABLE=$venv/bin/python")
    # The generators of the wheels are pinned; a system's may be newer than what was tried.
    if [ ! -f "$venv/ros-prefix" ]; then options+=(-DGR00T_MSGS_UNITY=ON); fi
    logged "$venv/bin/python" -m colcon --log-base log build --symlink-install --cmake-args "${options[@]}"
    list_interfaces >"$stamps/interfaces"
    # Where bytecode may not be written later, each process would compile the sources again.
    quietly "$venv/bin/python" -m compileall -q -j 0 src || true
}

# The messages of others' drivers, with which tests speak as those do. No user's shell sees them.
build_peer_messages() {
    cd "$root"
    logged "$venv/bin/python" -m colcon --log-base log build --base-paths src/gr00t_teleop/test/peer_messages/* \
        --build-base build/peer_messages --install-base "$peers" --cmake-args "-DPython3_EXECUTABLE=$venv/bin/python"
}

peers_key() {
    {
        find "$root/src/gr00t_teleop/test/peer_messages" -type f | LC_ALL=C sort | xargs sha256sum
        cat "$stamps/python-ros" "$stamps/python-build" 2>/dev/null
    } | sha256sum | cut -d' ' -f1
}

list_interfaces() { (cd "$root/src/gr00t_msgs" && LC_ALL=C ls msg srv action); }

main() {
    # The first line of a script names its interpreter, and the kernel ends that name at white space.
    if [[ $root =~ [[:space:]] ]]; then
        fail "'$root' has white space in its path, and installed programs cannot start there; move or clone it to a path without"
    fi
    local sets=(build runtime sim train teleop)
    if [ "${1:-}" = --dev ]; then sets+=(dev cluster); fi
    mkdir -p "$root/log"
    # Ctrl-C ends what runs in the background too.
    trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
    # One set-up at a time in this folder.
    exec 9>"$root/log/setup.lock"
    flock 9

    local prefix
    prefix=$(sourced_ros_prefix)
    check_system "$prefix"
    make_venv "$prefix"
    install_python_packages "$prefix" "${sets[@]}"
    if [ "${1:-}" = --dev ]; then set_up_browser; fi
    if [ "${1:-}" = --packages-only ]; then return; fi
    # shellcheck source=setup/environment.sh
    source "$root/setup/environment.sh"
    step workspace "$(workspace_key)" "Building the workspace with colcon (gr00t_msgs takes a minute)" build_workspace
    if [ "${1:-}" = --dev ]; then
        if [ ! -d "$peers" ]; then rm -f "$stamps/peer-messages"; fi
        step peer-messages "$(peers_key)" "Building the messages of others' drivers, for tests" build_peer_messages
    fi
    if [ "$SECONDS" -gt 2 ]; then say "Ready"; fi
}

main "$@"
