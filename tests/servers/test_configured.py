"""Settings of servers: every one is found, and what contradicts itself is refused."""

from __future__ import annotations

import pytest

from greenimi.config import Config
from greenimi.errors import ConfigError
from greenimi.servers.configured import configured_servers
from greenimi.testing.plugin import AppFactory


def test_every_server_in_the_order_of_conf() -> None:
    found = configured_servers(Config({"servers": {"till": {"kind": "tcp"}, "web": {"idle": 5}}}))
    assert list(found) == ["till", "web"]
    assert (found["till"].kind, found["web"].kind, found["web"].idle) == ("tcp", "http", 5.0)


def test_an_unknown_key_is_named_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"unknown key paylod in \[servers.web\]; did you mean payload"):
        configured_servers(Config({"servers": {"web": {"paylod": "json"}}}))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kind": "htpp"}, "servers.web.kind: there is no kind of server 'htpp'\n  hint: did you mean http"),
        ({"http2": {"window": 1000}}, "servers.web.http2: window and connection_window are 65535 bytes at least"),
        ({"http2": {"streams": 0}}, "servers.web.http2: streams and unrest are 1 at least"),
        ({"static": {"/assets": {"folder": "/nowhere"}}}, "servers.web.static./assets.folder: there is no folder /nowhere"),
        ({"templates": {"folders": ["nowhere"]}}, "servers.web.templates.folders: there is no folder nowhere\n  hint: a relative one"),
        ({"uploads": {"folder": "/nowhere"}}, "servers.web.uploads.folder: there is no folder /nowhere"),
        ({"kind": "tcp", "session": {"driver": "memory"}}, "servers.web.session: a tcp server has none of this"),
        ({"kind": "udp", "etag": True}, "servers.web.etag: a udp server has none of this"),
        ({"outbox": 1000, "high_water": 2000}, "servers.web.outbox: 1000 must be larger than high_water, which is 2000"),
    ],
)
def test_what_contradicts_itself(app_factory: AppFactory, table: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        app_factory(conf={"servers": {"web": table}})
