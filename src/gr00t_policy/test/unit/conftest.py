# SPDX-License-Identifier: Apache-2.0
"""Property tests are judged by what they find, not by how long one example takes on a busy machine."""

from hypothesis import settings

settings.register_profile("busy_machine", deadline=None, print_blob=True)
settings.load_profile("busy_machine")
