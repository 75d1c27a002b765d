# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# System packages and the system's ROS. Sourced by setup/run.sh, which defines say, fail and logged.

# The prefix of a sourced ROS 2 Jazzy (e.g. /opt/ros/jazzy); empty: none is sourced, the wheels are used.
sourced_ros_prefix() {
    local folder
    if [ "${ROS_DISTRO:-}" != jazzy ]; then return; fi
    IFS=: read -ra folders <<<"${AMENT_PREFIX_PATH:-}"
    for folder in "${folders[@]}"; do
        # The environment of this workspace's own wheels is not a ROS installation.
        if [ -f "$folder/share/rclpy/package.xml" ] && [ -f "$folder/setup.bash" ]; then
            printf '%s\n' "$folder"
            return
        fi
    done
}

# A Python 3.11 or 3.12 that can make environments and compile extensions; empty: there is none.
find_python() {
    local candidate
    local candidates=("${PYTHON:-}" python3 python3.12 python3.11 /usr/bin/python3)
    if [ -n "$1" ]; then candidates=("${PYTHON:-/usr/bin/python3}"); fi # the one that the system's ROS is made for
    for candidate in "${candidates[@]}"; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null && "$candidate" - <<'END' 2>/dev/null; then
import ensurepip, os, sys, sysconfig, venv
usable = (3, 11) <= sys.version_info[:2] <= (3, 12) and os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
if not usable:
    raise SystemExit(1)
print(os.path.realpath(sys._base_executable))
END
            return
        fi
    done
}

# Names of Debian/Ubuntu packages that are needed and not there, one per line.
missing_packages() {
    local libraries
    libraries=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p)
    command -v cmake >/dev/null || echo cmake
    command -v g++ >/dev/null || echo g++
    command -v make >/dev/null || echo make
    [ -n "$(find_python "$1")" ] || printf '%s\n' python3 python3-dev python3-venv
    [ -d /etc/ssl/certs ] && [ -n "$(ls /etc/ssl/certs)" ] || echo ca-certificates
    grep -q 'libEGL\.so\.1' <<<"$libraries" || echo libegl1
    grep -q 'libEGL_mesa\.so\.0' <<<"$libraries" || echo libegl-mesa0
    grep -q 'libGL\.so\.1' <<<"$libraries" || echo libgl1
    compgen -G '/usr/lib/*/dri/swrast_dri.so' >/dev/null || echo libgl1-mesa-dri
}

# Installs what is missing when root; else stops with the one line that does it.
check_system() {
    local missing
    mapfile -t missing < <(missing_packages "$1")
    if [ ${#missing[@]} -eq 0 ]; then return; fi
    if ! command -v apt-get >/dev/null; then
        fail "this system lacks what Debian calls: ${missing[*]}. Install these by hand, then try again."
    fi
    if [ "$(id -u)" -ne 0 ]; then
        fail "system packages are missing. Run: sudo apt-get update && sudo apt-get install -y ${missing[*]}"
    fi
    say "Installing system packages: ${missing[*]}"
    logged apt-get update
    logged env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
    if [ -z "$(find_python "$1")" ]; then
        fail "no Python 3.11 or 3.12 with headers and venv is installed; name one with PYTHON=/path/to/python make ..."
    fi
}
