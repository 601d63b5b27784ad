"""How transactions are wished for."""

from __future__ import annotations

import pytest

from greenimi.pool.wishes import Options, Wish


@pytest.mark.parametrize("text", ["READ COMMITTED", "read committed", "Read_Committed", "  read   committed "])
def test_isolation_as_people_write_it(text: str) -> None:
    assert Options.of(text, read_only=False) == Options("READ COMMITTED")


def test_they_are_plain_data() -> None:
    wish = Wish("nested", 1, "part", 2, Options.of("", read_only=True))
    assert wish == Wish("nested", 1, "part", 2, Options("", True))
    assert hash(wish) == hash(Wish("nested", 1, "part", 2, Options("", True)))
