# SPDX-License-Identifier: Apache-2.0
"""The node ``controller`` where the GPU's memory is full: not configured, told in one line, and configured when there is room."""

import pytest
import torch
from rclpy.lifecycle import TransitionCallbackReturn
from test_controller_node import PATIENT, checkpoint, context, make_node

__all__ = ["checkpoint", "context"]  # fixtures


@pytest.mark.parametrize(
    ("layer", "said"), [("DiT", "the memory of device 'cpu' is full"), ("Linear", "does not fit into")]
)
def test_a_full_memory_is_a_failed_configure_with_one_clear_line_and_no_fault(context, checkpoint, capfd, layer, said):
    """A real hook of torch raises, in any layer of that kind, what torch raises on a GPU; a failure is not an error of ours."""

    def fails(module, given):
        if type(module).__name__ == layer:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    node = make_node(context, checkpoint=str(checkpoint), **PATIENT)
    hook = torch.nn.modules.module.register_module_forward_pre_hook(fails)
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
        shown = capfd.readouterr().err
        assert "cannot configure" in shown and said in shown and "Traceback" not in shown
        hook.remove()
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    finally:
        hook.remove()
        node.stop()
        node.destroy_node()
