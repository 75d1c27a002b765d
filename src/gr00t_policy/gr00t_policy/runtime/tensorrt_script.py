# SPDX-License-Identifier: Apache-2.0
"""The shell script that turns exported graphs into TensorRT engines on the machine that will run them."""

from collections.abc import Sequence

_SCRIPT = """#!/usr/bin/env bash
# Builds TensorRT engines from the ONNX graphs beside this file. Run it on the machine that will run them (a Jetson, a GPU):
# an engine fits one GPU and one version of TensorRT. Shapes are static, so there is nothing to tune.
#
#   ./build_tensorrt.sh [OUT]        OUT: folder of the engines, default: tensorrt/ beside this file
#   PRECISION=fp32|fp16|bf16         default bf16; fp16 cannot hold the bias that hides padded tokens: check what it gives
#   TRTEXEC=PATH                     default: trtexec of the PATH, else JetPack's
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
out="${1:-$here/tensorrt}"
precision="${PRECISION:-bf16}"
trtexec="${TRTEXEC:-$(command -v trtexec || echo /usr/src/tensorrt/bin/trtexec)}"

case "$precision" in
    fp32) options=() ;;
    fp16 | bf16) options=("--$precision") ;;
    *) echo "PRECISION is '$precision'; choose fp32, fp16 or bf16" >&2; exit 2 ;;
esac
if [[ ! -x "$trtexec" ]]; then
    echo "no trtexec at '$trtexec'; install TensorRT (JetPack has it) or set TRTEXEC" >&2
    exit 2
fi
# Read whole: grep -q would end trtexec by a broken pipe.
if [[ "$precision" != fp32 && "$("$trtexec" --help 2>&1)" != *"--$precision"* ]]; then
    echo "'$trtexec' has no --$precision (TensorRT 8, as in JetPack 6.0, has no bf16); set PRECISION=fp32" >&2
    exit 2
fi

mkdir -p "$out"
for graph in @GRAPHS@; do
    part="$(basename "$graph")"
    echo "building $part in $precision"
    "$trtexec" --onnx="$here/$graph.onnx" --saveEngine="$out/$part.$precision.plan" ${options[@]+"${options[@]}"} \\
        --builderOptimizationLevel=4 --useCudaGraph --warmUp=500 --iterations=200 | tee "$out/$part.$precision.log"
done
grep -H "GPU Compute Time" "$out"/*."$precision".log || true
"""


def tensorrt_script(graphs: Sequence[str]) -> str:
    """graphs: their files in the folder of the script, without '.onnx'."""
    return _SCRIPT.replace("@GRAPHS@", " ".join(graphs))
