# SPDX-License-Identifier: Apache-2.0
"""Build of the ament package; the same shape in every Python package of the workspace."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "gr00t_bringup"


def shared(folder: str) -> list[tuple[str, list[str]]]:
    """Each file below ``folder`` at the same place below share/<package>."""
    files = sorted(path for path in Path(folder).rglob("*") if path.suffix in {".py", ".yaml"})
    return [(f"share/{PACKAGE}/{path.parent}", [str(path)]) for path in files]


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Launch files, parameter files by robot, and the `gr00t` command line.",
    license="Apache-2.0",
    maintainer="GR00T suite maintainers",
    maintainer_email="maintainers@example.com",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *shared("launch"),
        *shared("config"),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "gr00t = gr00t_bringup.cli:main",
            "task_server = gr00t_bringup.ros.task_server_node:main",
        ]
    },
)
