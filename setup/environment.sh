# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Puts the built workspace into the environment of a bash shell: `source setup/environment.sh`.
# ROS comes from where set-up took it: the wheels in .venv, or the Jazzy installation that was sourced then.

gr00t_root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
gr00t_venv="$gr00t_root/.venv"

# The system's ROS prefix that set-up found (e.g. /opt/ros/jazzy); empty: ROS comes from the wheels in .venv.
gr00t_system_ros() {
    if [ -f "$gr00t_venv/ros-prefix" ]; then cat "$gr00t_venv/ros-prefix"; fi
}

# Variables of other ROS installations are dropped, so that the wheels never load a foreign library.
gr00t_use_wheels() {
    local libraries
    libraries=$(printf '%s:' "$gr00t_venv"/lib/python3.*/site-packages/ros_*.libs)
    export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3 RMW_IMPLEMENTATION=rmw_fastrtps_cpp
    export AMENT_PREFIX_PATH="$gr00t_venv" CMAKE_PREFIX_PATH="$gr00t_venv"
    export LD_LIBRARY_PATH="$gr00t_venv/lib:${libraries%:}" _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
    unset PYTHONPATH COLCON_PREFIX_PATH
}

# Without a word of the user about discovery, traffic stays on this machine.
gr00t_stay_local() {
    local name
    for name in ROS_LOCALHOST_ONLY ROS_AUTOMATIC_DISCOVERY_RANGE ROS_STATIC_PEERS ROS_DISCOVERY_SERVER \
        FASTRTPS_DEFAULT_PROFILES_FILE FASTDDS_DEFAULT_PROFILES_FILE CYCLONEDDS_URI; do
        if [ -n "${!name:-}" ]; then return; fi
    done
    export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
}

gr00t_enter() {
    local prefix
    prefix=$(gr00t_system_ros)
    if [ -z "$prefix" ]; then
        gr00t_use_wheels
    elif [[ ":${AMENT_PREFIX_PATH:-}:" != *":$prefix:"* ]]; then # ROS_DISTRO says nothing: ROS's images set it unsourced
        # shellcheck disable=SC1091
        source "$prefix/setup.bash"
    fi
    export VIRTUAL_ENV="$gr00t_venv" PATH="$gr00t_venv/bin:$PATH" MUJOCO_GL="${MUJOCO_GL:-egl}" PYTHONNOUSERSITE=1
    gr00t_stay_local
    if [ -f "$gr00t_root/install/local_setup.bash" ]; then
        # shellcheck disable=SC1091
        source "$gr00t_root/install/local_setup.bash"
    fi
}

gr00t_enter
