# SPDX-License-Identifier: Apache-2.0
"""Where the manufacturer's GR-1 description lies: the URDF that simulator and kinematics are both made from."""

import importlib.util
from pathlib import Path

from gr00t_policy.core.errors import Gr00tError

PACKAGE = "fourier_robot_descriptions"
INSTALL_LINE = "pip install --no-deps fourier-robot-descriptions==0.2.7"


class AssetError(Gr00tError):
    """The robot's description files are not installed or not as expected."""


def urdf_path() -> Path:
    """The GR1T2 with 6-DoF Fourier hands, found without importing the package that ships it. Raises AssetError."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise AssetError(f"the GR-1 description package is not installed; run: {INSTALL_LINE}")
    path = Path(spec.submodule_search_locations[0]) / "assets" / "urdf" / "gr1t2_fourier_hand_6dof.urdf"
    if not path.is_file():
        raise AssetError(f"{PACKAGE} is installed but has no {path.name} at {path.parent}; run: {INSTALL_LINE}")
    return path
