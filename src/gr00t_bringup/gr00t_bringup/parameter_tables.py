# SPDX-License-Identifier: Apache-2.0
"""The parameter tables of docs/interfaces.md, made from the nodes' settings: ``python -m gr00t_bringup.parameter_tables FILE``.

A test makes them again and compares, so the page cannot go stale.
"""

import sys
from pathlib import Path
from typing import Any

from gr00t_bringup.nodes import NODES, NodeSpec, settings_type
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.settings import settings_fields


def parameter_table(node: NodeSpec) -> str:
    """A Markdown table of the node's parameters, its own before those of every loop."""
    lines = ["| parameter | default | unit | range | meaning |", "|---|---|---|---|---|"]
    for name, item in settings_fields(settings_type(node)).items():
        low, high = item.metadata.get("range", ("", ""))
        span = f"{low:g} to {high:g}" if low != "" else ""
        live = " (may be changed while active)" if item.metadata.get("live") else ""
        lines.append(
            f"| `{name}` | {_shown(item.default)} | {item.metadata.get('unit', '')} | {span} "
            f"| {item.metadata.get('description', '')}{live} |"
        )
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """The page with the text between each pair of markers replaced. Raises ConfigError when a node has no markers."""
    for node in NODES:
        begin, end = f"<!-- parameters: {node.name} -->\n", f"\n<!-- end: {node.name} -->"
        if begin not in page or end not in page:
            raise ConfigError(f"the page has no '{begin.strip()}' ... '{end.strip()}' for node '{node.name}'")
        head, rest = page.split(begin, 1)
        page = head + begin + parameter_table(node) + end + rest.split(end, 1)[1]
    return page


def main() -> int:
    """Rewrite the tables in the file named on the command line."""
    file = Path(sys.argv[1])
    file.write_text(with_tables(file.read_text()))
    return 0


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "empty" if value == "" else f"{value:g}" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    sys.exit(main())
