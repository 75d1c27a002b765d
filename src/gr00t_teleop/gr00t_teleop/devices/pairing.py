# SPDX-License-Identifier: Apache-2.0
"""Who may drive: whoever gives the code that the operator's computer shows. Guessing is slow and leaks nothing."""

import hmac
import secrets

_ATTEMPTS = 5  # a person mistypes once or twice
_WAIT_S = 30.0  # a million codes at five in thirty seconds are 69 days for all, 35 for an even chance


def new_code() -> str:
    """Six digits from the system's generator."""
    return f"{secrets.randbelow(10**6):06d}"


class Pairing:
    """Compares codes in constant time; after a few wrong ones nobody is let in for a while, whoever asks."""

    def __init__(self, code: str) -> None:
        self._code = code.encode()
        self._wrong = 0
        self._closed_until_ns = 0

    def refusal(self, given: str, now_ns: int) -> str:
        """Empty when ``given`` is the code, else why not, as a sentence. now_ns: the steady clock."""
        if now_ns < self._closed_until_ns:
            return f"too many wrong codes; wait {(self._closed_until_ns - now_ns) / 1e9:.0f} s and try again"
        if hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self._code):
            self._wrong = 0
            return ""
        self._wrong += 1
        if self._wrong >= _ATTEMPTS:
            self._wrong, self._closed_until_ns = 0, now_ns + int(_WAIT_S * 1e9)
        return "wrong pairing code; the right one is in the log of the node 'operator'"
