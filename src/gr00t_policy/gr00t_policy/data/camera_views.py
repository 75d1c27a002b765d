# SPDX-License-Identifier: Apache-2.0
"""The pictures of one observation -> the network's views: every camera of the robot once, in its order, at its size."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import MessageError
from gr00t_policy.data.transforms import PictureTransform, Pixels


@dataclass(frozen=True)
class CameraViews:
    """The pictures of one observation as the network's views, in the order of the embodiment's cameras."""

    embodiment: Embodiment
    transform: PictureTransform

    def __call__(self, images: dict[str, Pixels]) -> NDArray[np.float32]:
        """camera -> (H, W, 3) uint8 becomes (V, 3, size, size).

        Raises MessageError when a camera is missing, one too many, or its picture has another size or type.
        """
        cameras = {camera.name: camera for camera in self.embodiment.cameras}
        if set(images) != set(cameras):
            raise MessageError(
                f"'{self.embodiment.name}' looks through {', '.join(cameras)}; there are pictures of "
                f"{', '.join(images) or 'no camera'}; give one of each of its cameras and no others"
            )
        for name, camera in cameras.items():
            expected, image = (camera.height, camera.width, 3), images[name]
            if image.shape != expected or image.dtype != np.uint8:
                raise MessageError(
                    f"camera '{name}': expected {expected} uint8 RGB, got {image.shape} {image.dtype}; "
                    "change the camera or its size in the embodiment"
                )
        return np.stack([self.transform(images[name]) for name in cameras])
