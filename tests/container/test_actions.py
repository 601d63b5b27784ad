from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.container.actions import Actions, describe
from greenimi.errors import ConflictError
from greenimi.marks import Where


class Shop:
    pass


def test_discriminators_read_as_their_parts() -> None:
    assert [describe(what) for what in ("x", ("GET", "/"), ("bean", Shop, 3))] == ["x", "GET /", "bean Shop 3"]


def test_notes_are_kept_once_the_action_ran() -> None:
    actions = Actions()
    actions.add("a", lambda: None, note=("route", 1))
    assert actions.notes == {}
    actions.commit()
    assert actions.notes == {"route": [1]}


def test_nothing_runs_when_there_is_a_conflict() -> None:
    ran: list[int] = []
    actions = Actions()
    for line in (1, 2, 3):
        actions.add("a", lambda: ran.append(1), where=Where("x.py", line))
    with pytest.raises(ConflictError, match=r"^a: x\.py:1 and x\.py:2 and x\.py:3"):
        actions.commit()
    assert ran == []


@given(st.lists(st.integers(-3, 3)))
def test_order_is_stable(orders: list[int]) -> None:
    ran: list[tuple[int, int]] = []
    actions = Actions()
    for number, order in enumerate(orders):
        actions.add(None, lambda entry=(order, number): ran.append(entry), order=order)  # type: ignore[misc]
    actions.commit()
    assert ran == sorted(ran)
    assert len(ran) == len(orders)


@pytest.mark.parametrize(("claimed", "speaks_of_beans"), [(("bean", "shop"), True), (("GET", "/orders"), False)])
def test_only_beans_are_replaced_in_conf(claimed: tuple[str, str], speaks_of_beans: bool) -> None:
    actions = Actions()
    for _ in range(2):
        actions.add(claimed, lambda: None)
    with pytest.raises(ConflictError) as caught:
        actions.commit()
    assert caught.value.hint.startswith("keep one of them")
    assert ("[beans.<name>]" in caught.value.hint) == speaks_of_beans
