# SPDX-License-Identifier: Apache-2.0
"""Lighter copies of the meshes of the manufacturer's GR-1 description, for rendering without a GPU."""

import functools
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray


def lighten(mesh: mujoco.MjsMesh, path: Path, cell_m: float, max_faces: int) -> None:
    """Replace a mesh file by a copy in memory whose vertices are merged on a grid.

    The grid starts at ``cell_m`` and coarsens until ``max_faces`` are left. The full GR-1 has 684,000 faces, which a
    software rasteriser draws twice a second.
    """
    vertices, faces = _light(path, cell_m, max_faces)
    mesh.file = ""
    mesh.uservert = vertices.ravel().tolist()
    mesh.userface = faces.astype(int).ravel().tolist()


@functools.cache  # a process that runs several tasks reads each mesh once
def _light(path: Path, cell_m: float, max_faces: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    vertices, faces = _read_binary_stl(path)
    merged_vertices, merged_faces = _merge(vertices, faces, cell_m)
    while len(merged_faces) > max_faces:
        cell_m *= 1.4
        merged_vertices, merged_faces = _merge(vertices, faces, cell_m)
    return merged_vertices, merged_faces


def _merge(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], cell_m: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    cells = np.floor((vertices - vertices.min(0)) / cell_m).astype(np.int64)
    keys = (cells[:, 0] * 100003 + cells[:, 1]) * 100003 + cells[:, 2]
    _, cell_of = np.unique(keys, return_inverse=True)
    cell_of = cell_of.reshape(-1)
    count = np.bincount(cell_of)
    centres = np.stack([np.bincount(cell_of, weights=vertices[:, axis]) / count for axis in range(3)], axis=1)
    merged = _without_degenerate(cell_of[faces])
    a, b, c = np.sort(merged, axis=1).T
    _, first = np.unique((a * len(centres) + b) * len(centres) + c, return_index=True)
    return centres, merged[first]


def _read_binary_stl(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    raw = path.read_bytes()
    count = int.from_bytes(raw[80:84], "little")
    record = np.dtype([("normal", "<3f4"), ("corners", "<9f4"), ("attribute", "<u2")])
    corners = np.frombuffer(raw, dtype=record, count=count, offset=84)["corners"].reshape(-1, 3)
    vertices, index = _different_points(np.round(corners, 6))
    return vertices.astype(np.float64), _without_degenerate(index.reshape(-1, 3))


def _different_points(points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The different ones of (N, 3) in ascending order, and for each of the N which it is: as ``np.unique`` with an axis, which
    compares row by row and takes ten times as long; here a point is one number, made of the places of its coordinates."""
    axes = [np.unique(column, return_inverse=True) for column in points.T]
    (xs, x), (ys, y), (zs, z) = axes
    keys, which = np.unique((x * len(ys) + y) * len(zs) + z, return_inverse=True)
    planes, lines = np.divmod(keys, len(ys) * len(zs))
    return np.stack([xs[planes], ys[lines // len(zs)], zs[lines % len(zs)]], axis=1), which


def _without_degenerate(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    a, b, c = faces.T
    return faces[(a != b) & (b != c) & (a != c)]
