# SPDX-License-Identifier: Apache-2.0
"""What may be said to the robot: the same sentences for the planner, tasks, recordings and what is learnt from them."""

_NOT_UTF8 = "\N{REPLACEMENT CHARACTER}"  # what the middleware's reader puts in the place of bytes that are no UTF-8


def instruction_fault(sentence: str, max_bytes: int) -> str:
    """What keeps a sentence from being taken, as the end of "the sentence ..."; empty when it is taken.

    Spaces at its ends do not count, and an empty one has no fault: who needs one says so. max_bytes: of UTF-8.
    """
    text = sentence.strip()
    size = len(text.encode("utf-8", errors="replace"))
    if size > max_bytes:
        return f"has {size} bytes; at most {max_bytes} are taken"
    if not text.isprintable():
        return "has control characters; say it in one line of plain text"
    if _NOT_UTF8 in text:
        return "is not UTF-8"
    return ""
