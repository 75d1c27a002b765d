#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the pinned sets (*.txt, with hashes, for Python 3.11 and 3.12) from the wishes (*.in). Needs `uv`.
# All sets are resolved together first, so that a package has one version everywhere. Old pins are kept where they
# still fit; `requirements/lock.sh --upgrade` moves them to the newest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

compile() { uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate "$@"; }

sets=(ros build runtime sim train teleop dev cluster)
all=$(mktemp)
trap 'rm -f "$all"' EXIT
if [ "${1:-}" != --upgrade ]; then cat "${sets[@]/%/.txt}" 2>/dev/null | grep -o '^[^ ]*==[^ ]*' | sort -u >"$all"; fi
compile torch-cuda.in "${sets[@]/%/.in}" --output-file "$all"
for name in "${sets[@]}"; do
    compile --generate-hashes --no-emit-package torch --constraint "$all" "$name.in" --output-file "$name.txt"
done
compile --generate-hashes --constraint "$all" torch-cuda.in --output-file torch-cuda.txt
