# SPDX-License-Identifier: Apache-2.0
"""The garbage collector rests while large libraries are imported, and is afterwards as it was."""

import gc

import pytest

from gr00t_policy.core.collection import collection_paused


@pytest.mark.parametrize("enabled", [True, False])
def test_collection_is_as_before_afterwards_also_when_an_import_fails(enabled):
    was = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(ImportError), collection_paused():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was else gc.disable)()
