# SPDX-License-Identifier: Apache-2.0
"""Tokens as bytes: exact round trips, rounding as torch does it, refusals with numbers in them."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.wire import (
    WireType,
    from_bfloat16,
    mask_from_bytes,
    mask_to_bytes,
    to_bfloat16,
    tokens_from_bytes,
    tokens_to_buffer,
    tokens_to_bytes,
)

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=8)
MODERATE = st.floats(-1e4, 1e4, width=32)
ANY_BITS = hnp.arrays(np.uint32, st.integers(1, 64), elements=st.integers(0, 2**32 - 1))


@given(hnp.arrays(np.float32, SHAPES, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_float32_comes_back_bit_for_bit(features):
    back = tokens_from_bytes(tokens_to_bytes(features, WireType.FLOAT32), WireType.FLOAT32, features.shape)
    assert back.tobytes() == features.tobytes()


@given(hnp.arrays(np.float32, SHAPES, elements=MODERATE), st.sampled_from([WireType.BFLOAT16, WireType.FLOAT16]))
def test_a_second_trip_through_a_short_type_changes_nothing(features, dtype):
    once = tokens_from_bytes(tokens_to_bytes(features, dtype), dtype, features.shape)
    twice = tokens_from_bytes(tokens_to_bytes(once, dtype), dtype, features.shape)
    assert once.tobytes() == twice.tobytes()


@given(hnp.arrays(np.float32, SHAPES, elements=MODERATE))
def test_bfloat16_is_off_by_at_most_one_part_in_256(features):
    back = from_bfloat16(to_bfloat16(features))
    normal = np.abs(features) > np.finfo(np.float32).tiny
    assert (np.abs(back - features)[normal] <= np.abs(features)[normal] / 256).all()


@given(ANY_BITS)
def test_bfloat16_equals_torch_for_every_bit_pattern(bits):
    torch = pytest.importorskip("torch")
    values = bits.view(np.float32)
    ours = from_bfloat16(to_bfloat16(values))
    theirs = torch.from_numpy(values.copy()).to(torch.bfloat16).to(torch.float32).numpy()
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    real = ~np.isnan(ours)
    assert ours[real].tobytes() == theirs[real].tobytes()


@given(hnp.arrays(np.uint16, st.integers(1, 64), elements=st.integers(0, 2**16 - 1)))
def test_every_bfloat16_survives_the_way_through_float32(bits):
    values = from_bfloat16(bits)
    back = to_bfloat16(values)
    assert np.array_equal(back[~np.isnan(values)], bits[~np.isnan(values)])
    assert np.isnan(from_bfloat16(back[np.isnan(values)])).all()


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0x3F808000, 0x3F80), (0x3F818000, 0x3F82), (0x3F808001, 0x3F81), (0x7F7FFFFF, 0x7F80), (0xFF800000, 0xFF80)],
)
def test_bfloat16_rounds_ties_to_even_and_overflows_to_infinity(value, expected):
    assert to_bfloat16(np.array([value], np.uint32).view(np.float32))[0] == expected


def test_a_nan_whose_payload_is_cut_off_stays_a_nan():
    assert np.isnan(from_bfloat16(to_bfloat16(np.array([0x7F800001], np.uint32).view(np.float32)))).all()


def test_bytes_are_little_endian():
    one = np.ones((1, 1), np.float32)
    assert tokens_to_bytes(one, WireType.FLOAT32) == b"\x00\x00\x80\x3f"
    assert tokens_to_bytes(one, WireType.BFLOAT16) == b"\x80\x3f"
    assert tokens_to_bytes(one, WireType.FLOAT16) == b"\x00\x3c"


@pytest.mark.parametrize("dtype", list(WireType))
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_tokens_that_are_not_finite_are_neither_sent_nor_taken(dtype, bad):
    features = np.array([[1.0, bad]], np.float32)
    with pytest.raises(MessageError, match="not finite"):
        tokens_to_bytes(features, dtype)
    stored = {WireType.FLOAT32: features, WireType.BFLOAT16: to_bfloat16(features)}.get(dtype, features.astype("<f2"))
    with pytest.raises(MessageError, match="1 of 2 values are not finite"):
        tokens_from_bytes(stored.tobytes(), dtype, (1, 2))


def test_a_value_float16_cannot_hold_is_named_as_such():
    with pytest.raises(MessageError, match="too large for FLOAT16"):
        tokens_to_bytes(np.full((1, 1), 1e6, np.float32), WireType.FLOAT16)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("dtype", "largest"),
    [(WireType.BFLOAT16, np.uint32(0x7F7F7FFF).view(np.float32)), (WireType.FLOAT16, np.float32(65519.996))],
)
def test_the_largest_value_that_still_rounds_to_a_number_is_sent_and_the_next_is_not(dtype, largest, sign):
    ends = np.array([[sign * largest, 0.0]], np.float32)
    assert np.isfinite(tokens_from_bytes(tokens_to_bytes(ends, dtype), dtype, (1, 2))).all()
    beyond = np.array([[np.nextafter(np.float32(sign * largest), np.float32(sign * np.inf)), 0.0]], np.float32)
    with pytest.raises(MessageError, match="too large for"):
        tokens_to_bytes(beyond, dtype)


def test_float32_is_not_copied_before_it_is_read():
    features = np.ones((3, 4), np.float32)
    assert np.shares_memory(tokens_to_buffer(features, WireType.FLOAT32), features)


@pytest.mark.parametrize("dtype", list(WireType))
def test_tokens_that_lie_otherwise_in_memory_are_written_row_by_row(dtype):
    features = np.arange(12, dtype=np.float32).reshape(4, 3).T
    assert np.array_equal(tokens_from_bytes(tokens_to_bytes(features, dtype), dtype, (3, 4)), features)


@pytest.mark.parametrize(
    ("dtype", "times"), [(WireType.FLOAT32, 0.1), (WireType.BFLOAT16, 3.1), (WireType.FLOAT16, 1.1)]
)
def test_writing_a_megabyte_takes_little_memory_beside_it(dtype, times):
    """In multiples of what is written: nothing, the array bfloat16 is rounded in, float16 itself."""
    features = np.ones((1000, 500), np.float32)
    tracemalloc.start()
    try:
        written = len(tokens_to_buffer(features, dtype))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= times * written


def test_a_wrong_length_is_reported_with_both_numbers():
    with pytest.raises(MessageError, match="2x3 BFLOAT16 take 12 bytes, got 10"):
        tokens_from_bytes(bytes(10), WireType.BFLOAT16, (2, 3))


@pytest.mark.parametrize("shape", [(), (4,), (0, 4), (2, 2, 2), (2, -2)])
def test_a_shape_that_is_not_two_positive_numbers_is_refused(shape):
    with pytest.raises(MessageError, match="two positive numbers"):
        tokens_from_bytes(bytes(16), WireType.FLOAT32, shape)


@pytest.mark.parametrize("dtype", [0, 4, 255])
def test_an_unknown_type_is_refused_and_the_known_ones_listed(dtype):
    with pytest.raises(MessageError, match=r"known: 1 \(FLOAT32\), 2 \(BFLOAT16\), 3 \(FLOAT16\)"):
        tokens_from_bytes(bytes(16), dtype, (2, 2))


@given(hnp.arrays(np.bool_, st.integers(1, 50)).filter(lambda mask: mask.any()))
def test_a_mask_comes_back(mask):
    assert np.array_equal(mask_from_bytes(mask_to_bytes(mask), len(mask)), mask)


@pytest.mark.parametrize(("data", "tokens"), [(b"\x01", 2), (b"\x02\x01", 2), (b"\x00\x00", 2)])
def test_a_mask_of_wrong_length_or_content_is_refused(data, tokens):
    with pytest.raises(MessageError, match="attention mask"):
        mask_from_bytes(data, tokens)
