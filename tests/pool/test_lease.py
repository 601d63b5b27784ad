"""A lease has one owner and says who that is."""

from __future__ import annotations

import gc

import pytest

from greenimi import green
from greenimi.pool import LeaseError
from greenimi.pool.lease import _inside, line_of, spot
from tests.pool.conftest import MakePool
from tests.pool.things import Thing, Things, assert_sound


def test_giving_back_twice_names_the_lines(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()
    lease = pool.take()
    lease.release()
    me = r"at test_lease.py:\d+ in test_giving_back_twice_names_the_lines"
    expected = f"it was taken {me} and given back {me}"
    with pytest.raises(LeaseError, match=expected):
        lease.release()
    with pytest.raises(LeaseError, match=expected):
        lease.discard()
    assert_sound(pool, things)


def test_use_after_giving_back(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()
    lease = pool.take()
    first = lease.resource
    lease.release()
    other = pool.take()
    assert other.resource is first  # which is another's now
    with pytest.raises(LeaseError, match="it cannot be used any more"):
        _ = lease.resource
    with pytest.raises(LeaseError):
        lease.__enter__()
    other.release()
    assert_sound(pool, things)


def test_what_is_given_back_in_its_block_is_not_given_back_again(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()
    lease = pool.take()
    with lease:
        lease.discard()
    assert not lease.active
    assert things.open == []
    assert_sound(pool, things)


def test_a_lost_lease_frees_its_place(make_pool: MakePool, things: Things, caplog: pytest.LogCaptureFixture) -> None:
    pool = make_pool(max=1)

    def lose() -> Thing:
        return pool.take().resource

    thing = lose()
    gc.collect()
    with pool.use() as another:  # waits for the place
        assert another is not thing
    assert not thing.open  # whoever has it yet cannot use what is another's
    assert pool.statistics().lost == 1
    assert "test_lease.py" in caplog.text
    assert "lose took a resource and lost it" in caplog.text
    assert_sound(pool, things)


def test_a_lease_lost_while_the_pool_stops(make_pool: MakePool, things: Things) -> None:
    pool = make_pool()
    lease = pool.take()
    pool.stop()
    del lease
    gc.collect()
    assert pool.statistics().lost == 0
    assert things.open == []


def test_it_shows_itself(make_pool: MakePool) -> None:
    lease = make_pool().take()
    assert repr(lease).startswith("<Lease of orders, taken at test_lease.py:")
    lease.release()
    assert repr(lease).endswith(", given back>")


def test_lines_of_the_framework_and_of_libraries_are_left_out(make_pool: MakePool) -> None:
    assert line_of(spot()).startswith("test_lease.py:")
    assert _inside["/venv/lib/python3.11/site-packages/peewee.py"]
    assert _inside["/venv/lib/python3.11/site-packages/redis/client.py"]
    assert not _inside["/srv/redis/shop.py"]
    assert not _inside["/venv/lib/python3.11/site-packages/shop.py"]


def test_as_many_files_are_remembered_as_there_may_be() -> None:
    for number in range(10_100):
        assert not _inside[f"<generated {number}>"]
    assert len(_inside) <= 10_000


@pytest.mark.parametrize("error", [TimeoutError, LookupError("late")])
def test_what_a_timeout_of_the_taker_left_is_closed(make_pool: MakePool, things: Things, error: BaseException) -> None:
    pool = make_pool()
    with pytest.raises((TimeoutError, LookupError)), green.timeout(0.001, error), pool.use():
        green.sleep(1.0)
    assert things.open == []
    with pytest.raises(TimeoutError), pool.use():
        raise TimeoutError("of something else")
    assert len(things.open) == 1
    assert_sound(pool, things)


def test_what_the_pool_closed_says_why(make_pool: MakePool) -> None:
    pool = make_pool()
    lease = pool.take()
    assert lease.closed == ""
    pool.stop()
    assert "stopped" in lease.closed
    lease.discard()
    assert lease.closed == ""
