# SPDX-License-Identifier: Apache-2.0
"""Figures for HTML pages: one look, one size of letters, legends that cover no curve."""

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gr00t_policy.core.html_page import embedded, scrolling

WIDTH_IN = 11.0  # 1100 pixels of a page
SMALL, TINY = 10, 9  # points
_SCREEN_DPI, _FILE_DPI = 100, 140  # more pixels than shown: sharp on most screens, without many bytes
_ROW_IN, _FRAME_IN = 1.15, 0.9
_LEAST_SPAN = 0.05  # of the values shown: a joint that trembles must not look as if it swung


def plot_html(figure: Figure, name: str) -> str:
    """The figure as an element of the page. name: said where it is not shown."""
    file = io.BytesIO()
    figure.savefig(file, dpi=_FILE_DPI, format="png")
    picture = embedded(file.getvalue(), "png", name, "plot")
    width_px = round(figure.get_figwidth() * _SCREEN_DPI)
    return scrolling(f'<div style="max-width:{width_px}px">{picture}</div>')


def joint_panels(names: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """An empty figure with one wide panel a joint over a common time axis, from top to bottom."""
    figure = Figure(figsize=(WIDTH_IN, _ROW_IN * len(names) + _FRAME_IN), layout="constrained")
    axes = list(figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0])
    for name, axis in zip(names, axes, strict=True):
        axis.set_title(name, fontsize=SMALL, loc="left", pad=2)
        axis.tick_params(labelsize=TINY)
        axis.grid(alpha=0.3)
    return figure, axes


def finish_joint_panels(figure: Figure, axes: Sequence[Axes], unit: str) -> None:
    """After the curves are drawn: axis labels, one legend above all panels, no panel that magnifies next to nothing."""
    for axis in axes:
        low, high = axis.get_ylim()
        if high - low < _LEAST_SPAN:
            middle = (low + high) / 2
            axis.set_ylim(middle - _LEAST_SPAN / 2, middle + _LEAST_SPAN / 2)
    axes[-1].set_xlabel("time [s]", fontsize=SMALL)
    figure.supylabel(unit, fontsize=SMALL)
    named = {label: line for line, label in zip(*axes[0].get_legend_handles_labels(), strict=True)}
    figure.legend(
        named.values(), named.keys(), loc="outside upper right", fontsize=SMALL, ncols=len(named), frameon=False
    )
