# SPDX-License-Identifier: Apache-2.0
"""Replace the build machine's paths in the CMake files of the ROS wheels by this interpreter's own.

The wheels export include folders of the machine that built them (``/opt/python/cpXY-cpXY/...``); CMake refuses
folders that do not exist. Run with the environment's interpreter; prints the number of files changed. Repeatable.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

_FOREIGN_NUMPY = re.compile(r"/opt/python/cp\d+-cp\d+/lib/python[\d.]+/site-packages/numpy/_?core/include")
_FOREIGN_PYTHON = re.compile(r"/opt/python/cp\d+-cp\d+/include/python[\d.]+")


def fix_paths(share: Path) -> int:
    """Rewrite every CMake file below ``share``; returns how many had to change."""
    python_include, numpy_include = sysconfig.get_path("include"), numpy.get_include()
    changed = 0
    for path in share.rglob("*.cmake"):
        text = path.read_text()
        fixed = _FOREIGN_PYTHON.sub(lambda _: python_include, _FOREIGN_NUMPY.sub(lambda _: numpy_include, text))
        if fixed != text:
            path.write_text(fixed)
            changed += 1
    return changed


if __name__ == "__main__":
    sys.stdout.write(f"{fix_paths(Path(sys.prefix) / 'share')} CMake files corrected\n")
