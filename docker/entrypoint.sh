#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a command of the container in the environment of the workspace: `ros2 launch ...` works as well as `./gr00t ...`.
set -eo pipefail
cd /workspace
source setup/environment.sh
exec "$@"
