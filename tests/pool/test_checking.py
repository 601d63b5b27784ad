"""Checks in greenlets of their own."""

from __future__ import annotations

import gevent
import pytest

from greenimi import green
from greenimi.pool.checking import fault_of
from greenimi.testing.support import wait_until
from tests.pool.conftest import MakePool
from tests.pool.things import Things


class Late(Exception):
    """Thrown by a timer of the taker."""


def test_what_a_check_finds() -> None:
    def broken(resource: object) -> bool:
        raise OSError("gone")

    assert fault_of(lambda resource: True, "a", 1.0) is None
    assert "did not answer" in str(fault_of(lambda resource: False, "a", 1.0))
    assert isinstance(fault_of(broken, "a", 1.0), OSError)
    assert "within 0.01 seconds" in str(fault_of(lambda resource: green.sleep(5.0), "a", 0.01))


@pytest.mark.parametrize("error", [Late, TimeoutError, gevent.GreenletExit])
def test_the_end_of_who_waits_is_no_fault_of_the_server(make_pool: MakePool, things: Things, error: type[BaseException]) -> None:
    pool = make_pool(idle_check=0.0, max=2)
    with pool.use(), pool.use():
        pass
    ended: list[BaseException] = []

    def check(what: str) -> None:
        try:
            green.sleep(5.0)
        except BaseException as found:
            ended.append(found)
            raise

    things.pause = check
    with pytest.raises(error), gevent.Timeout(0.01, error):
        pool.take()
    things.pause = lambda what: None
    assert not pool.nodes[0].problem
    assert pool.size == 1  # the one that was being checked is closed, the other one is as good as before
    assert wait_until(lambda: [type(found) for found in ended] == [gevent.GreenletExit])
    with pool.use() as thing:
        assert thing.open
