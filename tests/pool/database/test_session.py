from __future__ import annotations

import peewee
import pytest

from greenimi.pool.database.session import Inherited


def test_what_a_parent_holds_is_left_alone() -> None:
    session = Inherited("primary")
    with pytest.raises(peewee.InterfaceError, match="belongs to the parent process"):
        session.run("SELECT 1")
    with pytest.raises(peewee.InterfaceError, match="belongs to the parent process"):
        session.stream("SELECT 1", None, 5)
    session.renew()
    session.close()
    assert not session.is_open
    assert session.node == "primary"
