from __future__ import annotations

import pytest

from greenimi.container import Services, Tier
from greenimi.errors import ConflictError


class Recorded:
    def __init__(self, log: list[str], name: str, tier: Tier, fail: str = "") -> None:
        self.log, self.name, self.tier, self.fail = log, name, tier, fail

    def _do(self, what: str) -> None:
        self.log.append(f"{what} {self.name}")
        if self.fail == what:
            raise ValueError(f"{what} {self.name} failed")

    def start(self) -> None:
        self._do("start")

    def drain(self) -> None:
        self._do("drain")

    def stop(self) -> None:
        self._do("stop")


def services(log: list[str], **fail: str) -> Services:
    found = Services()
    for name, tier in (("door", Tier.DOORS), ("pool", Tier.RESOURCES), ("cron", Tier.WORK), ("pool2", Tier.RESOURCES)):
        found.add(Recorded(log, name, tier, fail.get(name, "")), name)
    return found


def test_tiers_start_in_order_and_stop_in_reverse() -> None:
    log: list[str] = []
    found = services(log)
    found.start()
    found.drain()
    found.stop()
    found.stop()
    names = ["pool", "pool2", "cron", "door"]
    assert log == [f"start {n}" for n in names] + [f"drain {n}" for n in names[::-1]] + [f"stop {n}" for n in names[::-1]]


def test_a_failed_start_stops_what_started() -> None:
    log: list[str] = []
    with pytest.raises(ValueError, match="start cron failed") as caught:
        services(log, cron="start").start()
    assert log == ["start pool", "start pool2", "start cron", "stop pool2", "stop pool"]
    assert caught.value.__notes__ == ["while starting the service cron"]


@pytest.mark.parametrize("what", ["drain", "stop"])
def test_every_one_is_told_even_after_an_error(what: str) -> None:
    log: list[str] = []
    found = services(log, cron=what)
    found.start()
    del log[:]
    with pytest.raises(ValueError, match=f"{what} cron failed"):
        getattr(found, what)()
    assert log == [f"{what} {n}" for n in ("door", "cron", "pool2", "pool")]


def test_names_are_unique() -> None:
    found = services([])
    with pytest.raises(ConflictError, match="service door already"):
        found.add(object(), "door")
