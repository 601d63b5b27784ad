from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.hub import ids


@given(st.integers(0, ids.NODES - 1), st.integers(0, ids.PROCESSES - 1), st.integers(0, ids.SLOTS - 1))
def test_number_names_node_process_and_slot(node: int, process: int, slot: int) -> None:
    number = ids.first_number(ids.process_number(node, process)) + slot
    assert (ids.node_of(number), ids.process_of(number), ids.slot_of(number)) == (node, ids.process_number(node, process), slot)
    assert 0 <= number < 1 << 63  # languages with signed numbers can hold it
    assert ids.parse(str(number)) == ids.parse(number) == number


@pytest.mark.parametrize(("node", "process"), [(-1, 0), (4096, 0), (0, -1), (0, 1 << 20)])
def test_what_does_not_fit_is_refused(node: int, process: int) -> None:
    with pytest.raises(ValueError, match="is 0 to"):
        ids.process_number(node, process)


@pytest.mark.parametrize(
    "text", ["", " 1", "-1", "+1", "1.5", "0x10", "1e3", "one", "\u0661", "9" * 5000, str(1 << 63), str(1 << 64), -1, 1 << 63, "1\n"]
)
def test_text_that_tells_no_number_is_nobody(text: str | int) -> None:
    assert ids.parse(text) == -1


def test_nobody_is_of_no_process() -> None:
    assert ids.process_of(-1) < 0


def test_largest_number_is_one() -> None:
    assert ids.parse(str((1 << 63) - 1)) == (1 << 63) - 1
