"""The settings of a server: one table ``[servers.NAME]`` in conf."""

from __future__ import annotations

from dataclasses import dataclass

from greenimi.config import option


@dataclass(frozen=True)
class ServerSettings:
    """``[servers.NAME]``"""

    kind: str = option("http", "What it speaks: http (WebSocket on the same port), tcp or udp.")
    bind: str = option("127.0.0.1:8000", "Address to listen on: HOST:PORT, [IPv6]:PORT or unix:PATH.")
    payload: str = option("json", "What a message's bytes mean: json, msgpack, text, raw or package.module:Class.")
    framing: str = option("line", "How TCP packets are cut: line, delimiter, length, fixed or package.module:Class.")
    framing_options: dict[str, object] = option({}, "Options of the framing, such as bits, byteorder, size.")
    action_field: str = option("action", "Field of a message that names its handler.")
    id_field: str = option("id", "Field of a message that asks for an answer and is returned with it.")
    layers: list[str] = option([], "Layers around every message: package.module:name or @group.")
    message_layers: list[str] = option([], "Layers around the messages of an HTTP server's WebSockets.")
    groups: dict[str, list[str]] = option({}, "Named lists of layers, used as @name.")
    idle: float = option(75.0, "Seconds of silence before a client is pinged (WebSocket) or its connection is closed; 0 means never.")
    connections: int = option(20000, "Connections a worker holds at most.")
    inbox: int = option(256, "Messages of one connection that may wait for its handler before reading stops.")
    outbox: int = option(4 * 1024 * 1024, "Bytes that may wait for a slow client before it is disconnected.")
    high_water: int = option(256 * 1024, "Bytes waiting for a client above which a streaming handler pauses.")
    max_line: int = option(8192, "Bytes of an HTTP request line.")
    max_head: int = option(32768, "Bytes of an HTTP request's head.")
    max_fields: int = option(100, "Header fields of an HTTP request.")
    require_host: bool = option(True, "Refuse HTTP/1.1 requests without a Host field, as the standard demands.")
    max_body: int = option(16 * 1024 * 1024, "Bytes of an HTTP request's body.")
    max_message: int = option(1024 * 1024, "Bytes of a WebSocket message, a TCP packet or a UDP datagram.")
    origins: list[str] = option([], "Origins that may open WebSockets besides the server's own host; * for any.")


@dataclass(frozen=True)
class WorkerSettings:
    """``[workers]``"""

    count: int = option(1, "Worker processes.")
    handlers: int = option(1000, "Messages a worker handles at the same time at most; further ones wait.")
    graceful_timeout: int = option(30, "Seconds that a stopping worker may take to finish its work.")
