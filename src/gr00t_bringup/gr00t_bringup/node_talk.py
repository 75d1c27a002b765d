# SPDX-License-Identifier: Apache-2.0
"""What a node says in its log, as it says it: the address of a page, a pairing code, why nothing comes."""

import re
import time
from pathlib import Path

from gr00t_policy.core.errors import ConfigError

_POLL_S = 0.05


class NodeTalk:
    """Reads the log of the node that it is named after."""

    def __init__(self, log: Path) -> None:
        self._log, self._read = log, 0
        self._said = re.compile(rf"^\[(?:INFO|WARN|ERROR)\] .*?\[{re.escape(log.stem)}\]: (.*)$")

    def news(self) -> list[str]:
        """Whole lines that were not read before, without the stamps."""
        with self._log.open("rb") as stream:
            stream.seek(self._read)
            data = stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        return [match[1] for line in whole.decode(errors="replace").splitlines() if (match := self._said.match(line))]

    def wait_for(self, pattern: str, timeout_s: float) -> str:
        """What matches the pattern in something it says. Raises ConfigError when it does not say so in time."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            found = [match for said in self.news() if (match := re.search(pattern, said))]
            if found:
                return found[0][0]
            time.sleep(_POLL_S)
        raise ConfigError(f"{self._log} says nothing like '{pattern}' within {timeout_s:g} s")
