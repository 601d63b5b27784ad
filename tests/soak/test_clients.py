from __future__ import annotations

import pytest

from greenimi.errors import ConnectionClosed
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import Serve
from greenimi.testing.support import wait_until
from tests.soak.clients import Asking, Beacon, Chat, KeptHttp, NewHttp, Steady, Till, settle

CONF = {"servers": {"web": {"kind": "http"}, "till": {"kind": "tcp"}, "beacon": {"kind": "udp"}}}


@pytest.mark.live
def test_every_kind_asks_and_is_answered(serve: Serve) -> None:
    addresses = serve(["tests.soak.apps.soak"], CONF).addresses
    kinds: list[Asking] = [NewHttp(addresses["web"]), KeptHttp(addresses["web"]), Chat(addresses["web"])]
    kinds += [Till(addresses["till"]), Beacon(addresses["beacon"])]
    for kind in kinds:
        with Steady(kind, 0.001) as asking:
            settle([asking], 3)
        assert not asking.failures
        assert asking.told.endswith(f"{len(asking.latencies)} answers, 0 failures")


@pytest.mark.live
def test_a_goodbye_between_two_requests_is_no_failure(serve: Serve) -> None:
    served = serve(["tests.soak.apps.soak"], CONF)
    for kind in (KeptHttp(served.addresses["web"]), Chat(served.addresses["web"]), Till(served.addresses["till"])):
        kind.ask()
        for name in ("web", "till"):
            served.app.doors.servers[name].farewell(1001, 0)  # type: ignore[union-attr]
        kind.ask()
        assert kind.crossed == 1
        kind.close()


class Unlucky(Asking):
    """Fails every second time."""

    count = 0
    closed = 0

    def ask(self) -> None:
        self.count += 1
        if self.count % 2:
            raise ConnectionClosed("gone")

    def close(self) -> None:
        self.closed += 1


def test_failures_are_kept_and_the_connection_is_given_up() -> None:
    unlucky = Unlucky(("127.0.0.1", 0))
    with Steady(unlucky, 0.0) as asking:
        wait_until(lambda: len(asking.latencies) >= 2)
    assert len(asking.failures) >= 2
    assert unlucky.closed == len(asking.failures) + 1
    assert "ConnectionClosed: gone" in asking.told


@pytest.mark.live
def test_the_application_of_the_soaks(serve: Serve) -> None:
    address = serve(["tests.soak.apps.soak"], CONF).addresses["web"]
    with HttpClient(address) as client:
        assert len(client.get("/big").body) == len(client.get("/stream").body) == 1 << 20
        assert client.post("/size", body=b"123").json() == 3
        assert client.get("/log/2").json() == 2
        assert client.get("/leak/1").json() == client.get("/pid").json()
