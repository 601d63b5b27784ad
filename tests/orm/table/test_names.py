from __future__ import annotations

import pytest

from greenimi.orm.table.names import check_key, check_name


@pytest.mark.parametrize("name", ["", "a b", "/a", "a\n", "ä", "x" * 65])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(ValueError, match="the name of a table has up to 64"):
        check_name("table", name)
    check_name("table", "shop.orders:2026-x_1")


def test_keys_that_cannot_be() -> None:
    for key in ("", "a\0", "é" * 201):
        with pytest.raises(ValueError, match="a key of Shop has 1 to 400 bytes"):
            check_key("Shop", key)
    assert check_key("Shop", "é" * 200) == "é" * 200
