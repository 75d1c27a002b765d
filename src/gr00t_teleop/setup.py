# SPDX-License-Identifier: Apache-2.0
"""Build of the ament package; the same shape in every Python package of the workspace."""

from setuptools import find_packages, setup

PACKAGE = "gr00t_teleop"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="A person drives the robot, and episodes are kept.",
    license="Apache-2.0",
    maintainer="GR00T suite maintainers",
    maintainer_email="maintainers@example.com",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["devices/webxr_page/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "operator = gr00t_teleop.ros.operator_node:main",
            "recorder = gr00t_teleop.ros.recorder_node:main",
            "retargeter = gr00t_teleop.ros.retargeter_node:main",
        ]
    },
)
