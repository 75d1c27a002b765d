# SPDX-License-Identifier: Apache-2.0
"""Which weight slot of the published networks belongs to which embodiment tag; it differs between releases."""

from gr00t_policy.core.errors import EmbodimentError

# Sources: gr00t/model/transforms.py of the first release of NVIDIA/Isaac-GR00T and of NVIDIA/GR00T-Dreams,
# gr00t/data/embodiment_tags.py of N1.5, processor_groot.py of huggingface/lerobot, processing_gr00t_n1d6.py of N1.6.
_N1_5 = {"gr1": 24, "oxe_droid": 17, "agibot_genie1": 26, "new_embodiment": 31}
PROJECTOR_INDICES = {
    "n1": {"gr1": 24, "new_embodiment": 31},
    "gr00t_dreams": {"gr1": 24, "franka": 17, "so100": 26, "robocasa_panda_omron": 13, "new_embodiment": 31},
    "n1.5": _N1_5,
    "n1.5_lerobot": {**_N1_5, "so100": 2, "unitree_g1": 3},
    "n1.6": {
        "robocasa_panda_omron": 13,
        "gr1": 20,
        "behavior_r1_pro": 24,
        "unitree_g1": 8,
        "libero_panda": 2,
        "oxe_google": 0,
        "oxe_widowx": 1,
        "oxe_droid": 16,
        "new_embodiment": 10,
    },
}


def projector_index(release: str, tag: str) -> int:
    """Weight slot of an embodiment tag in a release. Raises EmbodimentError naming the known ones."""
    if release not in PROJECTOR_INDICES:
        raise EmbodimentError(f"unknown release '{release}'; known: {', '.join(PROJECTOR_INDICES)}")
    tags = PROJECTOR_INDICES[release]
    if tag not in tags:
        raise EmbodimentError(
            f"release '{release}' has no weights for the tag '{tag}'; it has: {', '.join(tags)}; "
            "a robot of your own is fine-tuned under new_embodiment"
        )
    return tags[tag]
