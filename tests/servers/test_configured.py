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
        ({"half_close": 5}, "servers.web.half_close: an http server has none of this\n  hint: it is for servers of the kind tcp"),
        ({"kind": "tcp", "half_close": -1}, "servers.web.half_close: -1 is less than 0"),
        ({"kind": "tcp", "payload": "msgpack"}, 'servers.web.framing: line would cut MessagePack in two\n  hint: set framing = "length32"'),
        ({"kind": "udp", "message_rate": 5}, "servers.web.message_rate: a udp server has none of this"),
        ({"in_order": True}, "servers.web.in_order: an http server has none of this\n  hint: it is for servers of the kind udp"),
        ({"kind": "udp", "peers": -1}, "servers.web.peers: -1 is less than 0"),
        ({"kind": "udp", "tcp_keepalive": {"idle": 5}}, "servers.web.tcp_keepalive: a udp server has none of this"),
        ({"tcp_keepalive": {"idle": 32768}}, "servers.web.tcp_keepalive: idle is 0 to 32767 seconds"),
        ({"tcp_keepalive": {"idle": 1, "count": 128}}, "servers.web.tcp_keepalive: .* count 1 to 127"),
        ({"requests": 0}, "servers.web.requests: 0 is less than 1"),
        ({"origins": ["shop.example"]}, "servers.web.origins: 'shop.example' is no origin\n  hint: write https://shop.example"),
        ({"max_frame": -1}, "servers.web.max_frame: -1 is less than 0"),
        ({"ping_interval": -1}, "servers.web.ping_interval: -1 is less than 0"),
        ({"ping_jitter": 1.5}, "servers.web.ping_jitter: 1.5 is not from 0 to 1"),
        ({"ping_timeout": 0}, "servers.web.ping_timeout: 0 is less than 1"),
        ({"deflate": {"level": 0}}, "servers.web.deflate.level: 0 is not from 1 to 9"),
        ({"deflate": {"minimum": -1}}, "servers.web.deflate.minimum: -1 is less than 0"),
        ({"deflate": {"window": 8}}, "servers.web.deflate.window: 8 is not from 9 to 15"),
        ({"kind": "tcp", "deflate": {"enabled": True}}, "servers.web.deflate: a tcp server has none of this"),
        ({"kind": "tcp", "ping_interval": 5}, "servers.web.ping_interval: a tcp server has none of this"),
    ],
)
def test_what_contradicts_itself(app_factory: AppFactory, table: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        app_factory(conf={"servers": {"web": table}})
