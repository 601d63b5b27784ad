"""What is measured: the servers, how each is started, and the rows with the servers each compares.

In a command and in an environment `{peers}` and `{project}` are the `bin` folders of the two virtual environments; `{web}`,
`{line}` and `{dgram}` are free ports; `{certificate}` and `{key}` are files.  A peer uses the one port its row talks to; greenimi opens
all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from benchmarks.paths import HERE, NGINX, PROJECT, ROOT

Protocol = Literal["http", "https", "ws", "wss", "tcp", "udp", "none"]
DOORS: Mapping[Protocol, str] = {"http": "web", "https": "web", "ws": "web", "wss": "web", "tcp": "line", "udp": "dgram"}

Load = Literal["wrk", "h2load", "client", "visits", "fan", "push", "crowd", "memory", "idle", "reload", "churn", "upload", "calls"]
RATES: tuple[Load, ...] = ("wrk", "h2load", "client", "visits", "fan", "calls")
"""Those that count how much a server does in a time."""

OURS = "greenimi"
HELLO = "/hello/"
WEBSOCKET = "/ws"
BROADCAST = "/fan"
PUSH = "/push"
UPLOAD = "/upload"


@dataclass(frozen=True)
class Server:
    """`needs` are files without which the server is left out, with a sentence naming the missing one.  `reload` is a command that
    replaces the workers of the master `{pid}`."""

    name: str
    about: str
    command: str
    env: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[Path, ...] = ()
    reload: str = ""


@dataclass(frozen=True)
class Row:
    """One comparison.

    `load` says what is done to the servers: requests by wrk, by h2load (HTTP/2) or by our own `client`, short `visits` (a connection
    each), messages for all connections by a `fan`; or a look at the time that a `push` to one takes, at `memory` of idle connections, at
    a `crowd` of them, at an `idle` server, at a `reload` under load, at what `churn` leaves behind, at a worker that a large `upload`
    arrives at.  Of `calls` the servers are programs that call a library, and there is no protocol.
    """

    name: str
    title: str
    load: Load
    protocol: Protocol
    servers: tuple[Server, ...]
    connections: int = 64
    depth: int = 1
    size: int = 64  # bytes of a message, where our own clients make them
    headers: tuple[str, ...] = ()
    file: str = ""  # the path of FILE; wrk asks for it
    echo: str = ""  # the path that sends back the order of `order.json`; wrk posts it there
    visits: int = 0  # of churn
    full_visits: int = 0  # of churn in a full run
    mebibytes: int = 0  # of an upload

    @property
    def group(self) -> str:
        """The first word of its name: rows that have it in common are chosen by it."""
        return self.name.partition("-")[0]

    @property
    def door(self) -> str:
        return DOORS[self.protocol]


# -- servers -------------------------------------------------------------------------------------------------------

GREENIMI = Server(
    OURS,
    "one Gunicorn worker; router with a path parameter, three pass-through layers",
    "{project}/gunicorn -c conf/gunicorn.conf.py --workers 1",
    {
        "GREENIMI_CONF": "benchmarks/greenimi_app/bench.toml",
        "GREENIMI__SERVERS__WEB__BIND": "127.0.0.1:{web}",
        "GREENIMI__SERVERS__LINE__BIND": "127.0.0.1:{line}",
        "GREENIMI__SERVERS__DGRAM__BIND": "127.0.0.1:{dgram}",
    },
    needs=(PROJECT / "bin/gunicorn", ROOT / "conf/gunicorn.conf.py", HERE / "greenimi_app/bench.toml"),
)


GREENIMI_TLS = replace(
    GREENIMI,
    about="the same with TLS",
    env={**GREENIMI.env, "GREENIMI__SERVERS__WEB__TLS__CERTIFICATE": "{certificate}", "GREENIMI__SERVERS__WEB__TLS__KEY": "{key}"},
)
GREENIMI_GUEST = replace(
    GREENIMI,
    about="one Gunicorn worker; a bare WSGI application mounted at /",
    env={"GREENIMI_CONF": "benchmarks/greenimi_app/guest.toml", "GREENIMI__SERVERS__WEB__BIND": "127.0.0.1:{web}"},
    needs=(PROJECT / "bin/gunicorn", ROOT / "conf/gunicorn.conf.py", HERE / "greenimi_app/guest.toml"),
)
GREENIMI_FILES = replace(
    GREENIMI,
    about="one Gunicorn worker; a folder of files",
    env={"GREENIMI_CONF": "benchmarks/greenimi_app/files.toml", "GREENIMI__SERVERS__WEB__BIND": "127.0.0.1:{web}"},
    needs=(PROJECT / "bin/gunicorn", ROOT / "conf/gunicorn.conf.py", HERE / "greenimi_app/files.toml"),
)
GREENIMI_PAIR = replace(
    GREENIMI,
    about="two Gunicorn workers, replaced by `greenimi reload`",
    command=GREENIMI.command.replace("--workers 1", "--workers 2"),
    reload="{project}/greenimi reload --pid {pid}",
)


def workers(number: int, connections: int, about: str, server: Server = GREENIMI, env: Mapping[str, str] = {}) -> Server:
    """Several workers, none of which takes more than so many connections: that keeps them even."""
    limit = {"GREENIMI__SERVERS__WEB__CONNECTIONS": str(connections)}
    return replace(
        server, about=about, command=server.command.replace("--workers 1", f"--workers {number}"), env={**server.env, **limit, **env}
    )


GREENIMI_RELAY = workers(2, 505, "two Gunicorn workers, which reach each other by the local relay")
GREENIMI_ALONE = replace(GREENIMI, name="one-worker", about="greenimi, one Gunicorn worker with all connections")
GREENIMI_PUSH = workers(2, 10, GREENIMI_RELAY.about)
CROWD_WORKERS, CROWD_IDLE = 3, 30
CROWD = f"three Gunicorn workers; a WebSocket is pinged after {CROWD_IDLE} s of silence"
CROWD_ENV = {"GREENIMI__SERVERS__WEB__IDLE": str(CROWD_IDLE)}
GREENIMI_CROWD = workers(CROWD_WORKERS, 16_000, CROWD, GREENIMI, CROWD_ENV)
GREENIMI_CROWD_TLS = workers(CROWD_WORKERS, 6_000, f"{CROWD}; TLS", GREENIMI_TLS, CROWD_ENV)


def uvicorn(name: str, about: str, app: str, more: str = "") -> Server:
    options = "--host 127.0.0.1 --port {web} --no-access-log --log-level warning" + more
    return Server(name, about, f"{{peers}}/uvicorn benchmarks.peers.{app}:app --loop uvloop --http httptools {options}")


def script(name: str, about: str, module: str, door: str) -> Server:
    return Server(name, about, f"{{peers}}/python -m benchmarks.peers.{module} {{{door}}}")


ASGI = uvicorn("asgi", "bare ASGI application on uvicorn, no framework, no router", "asgi_bare")
STARLETTE = uvicorn("starlette", "Starlette on uvicorn; router, three pure ASGI pass-through middlewares", "starlette_app")
FASTAPI = uvicorn("fastapi", "FastAPI on uvicorn; router, three pure ASGI pass-through middlewares", "fastapi_app")
LITESTAR = uvicorn("litestar", "Litestar on uvicorn; router, three pure ASGI pass-through middlewares, msgspec", "litestar_app")
GRANIAN = Server(
    "granian-wsgi",
    "bare WSGI application on granian, four threads, no framework, no router",
    "{peers}/granian --interface wsgi --http 1 --host 127.0.0.1 --port {web} --backlog 2048 --blocking-threads 4 --no-ws "
    "--log-level warning benchmarks.peers.wsgi_bare:app",
)
GUNICORN = "{peers}/gunicorn --worker-class gevent --workers 1 --worker-connections 2000 --bind 127.0.0.1:{web} --no-control-socket "
GUNICORN_GEVENT = Server(
    "gunicorn-gevent",
    "bare WSGI application on Gunicorn's gevent worker, no framework, no router",
    f"{GUNICORN} --log-level warning benchmarks.peers.wsgi_bare:app",
)
GUNICORN_HTTP2 = Server(
    "gunicorn-gevent",
    "bare WSGI application on Gunicorn's gevent worker with its own HTTP/2, no framework, no router",
    f"{GUNICORN} --http-protocols h2,h1 --http2-cleartext both --forwarded-allow-ips 127.0.0.1 "
    "--log-level warning benchmarks.peers.wsgi_bare:app",
)
HYPERCORN = Server(
    "hypercorn",
    "bare ASGI application on hypercorn with uvloop, no framework, no router",
    "{peers}/hypercorn --worker-class uvloop --workers 1 --bind 127.0.0.1:{web} --log-level warning benchmarks.peers.asgi_bare:app",
)
SANIC = script("sanic", "Sanic's own server; router, no middleware", "sanic_app", "web")
AIOHTTP = script("aiohttp", "aiohttp on uvloop; router, no middleware", "aiohttp_app", "web")
FLASK = Server(
    "flask-gevent",
    "Flask on Gunicorn's gevent worker; router, no middleware",
    f"{GUNICORN} --log-level warning benchmarks.peers.flask_app:app",
)
UVICORN_WS = uvicorn("uvicorn", "bare ASGI application on uvicorn, its default WebSocket implementation", "asgi_bare")
WEBSOCKETS = script("websockets", "websockets on asyncio", "websockets_echo asyncio", "web")
WEBSOCKETS_UVLOOP = script("websockets-uvloop", "websockets on uvloop", "websockets_echo uvloop", "web")
GEVENT_WEBSOCKET = script("gevent-websocket", "gevent-websocket on gevent's WSGI server", "gevent_websocket_echo", "web")
GEVENT_WEBSOCKET_FAN = script("gevent-websocket", "gevent-websocket's own server, a loop over its clients", "gevent_websocket_fan", "web")
AIOHTTP_FAN = replace(AIOHTTP, about="aiohttp on uvloop, a loop over its WebSockets")
LINES = (
    script("asyncio-streams", "asyncio.start_server, readline", "line_echo asyncio", "line"),
    script("uvloop-streams", "the same on uvloop", "line_echo uvloop", "line"),
    script("gevent-stream", "gevent's StreamServer, lines of makefile", "line_echo gevent", "line"),
)
DATAGRAMS = (
    script("asyncio-datagram", "asyncio's datagram endpoint", "datagram_echo asyncio", "dgram"),
    script("uvloop-datagram", "the same on uvloop", "datagram_echo uvloop", "dgram"),
    script("gevent-datagram", "gevent's DatagramServer", "datagram_echo gevent", "dgram"),
)

PATIENT = " --timeout-keep-alive 120"  # idle connections are looked at for longer than the usual five seconds
SECURE = " --ssl-certfile {certificate} --ssl-keyfile {key}" + PATIENT
ASGI_PATIENT = uvicorn("asgi", ASGI.about, "asgi_bare", PATIENT)
ASGI_TLS = uvicorn("asgi", ASGI.about, "asgi_bare", SECURE)
STARLETTE_TLS = uvicorn("starlette", STARLETTE.about, "starlette_app", SECURE)
NGINX_PLAIN = replace(script("nginx", "nginx, one worker, answering by itself", "nginx", "web"), needs=(NGINX,))
NGINX_TLS = replace(NGINX_PLAIN, command=NGINX_PLAIN.command + " {certificate} {key}")

HTTP = (GREENIMI, ASGI, STARLETTE, FASTAPI, GRANIAN, SANIC, AIOHTTP, FLASK)
JSON = (GREENIMI, FASTAPI, LITESTAR)


def program(name: str, about: str, module: str) -> Server:
    """A row's `calls` are made by it, in the virtual environment of greenimi."""
    return Server(name, about, f"{{project}}/python -m benchmarks.programs.{module}", needs=(PROJECT / "bin/python",))


TAKES = (
    program(OURS, "Pool.take and Lease.release", "take greenimi"),
    program("gevent-queue", "a LifoQueue of gevent, get and put: no owner, no limits, no checks", "take queue"),
    program("peewee-pool", "peewee's PooledSqliteDatabase, connect and close: in memory, without round trips", "take peewee"),
)
HITS = (
    program(OURS, "Cache.get of a text, by the facade", "cached get"),
    program("greenimi-dict", "the same of a dict, a copy of its own for each caller", "cached get-dict"),
)
CACHEABLE_HITS = (
    program(OURS, "@cacheable with a key template and a ttl; the method returns a text", "cached cacheable"),
    program("greenimi-dict", "the same; it returns a dict, of which each caller gets a copy of his own", "cached cacheable-dict"),
    program("lru_cache", "functools.lru_cache: no time, no keys to evict, in C", "cached lru_cache"),
)
SELECTS = (
    program(OURS, "DB.execute_sql with PyMySQL", "select mysql"),
    program("peewee-pool", "peewee's PooledMySQLDatabase, also with PyMySQL", "select peewee"),
)
SELECTS_IN_C = (
    program(OURS, 'DB.execute_sql with driver = "mysqlclient"', "select mysqlclient"),
    program("greenimi-pymysql", "DB.execute_sql with PyMySQL", "select mysql"),
)
READS = (
    program(OURS, "Redis.get: the greenlets share a connection", "read greenimi"),
    program("greenimi-python", "the same without hiredis", "read greenimi-python"),
    program("redis-py", "redis-py with hiredis, a connection for each greenlet", "read redis-py"),
    program("redis-py-pool", "redis-py with its BlockingConnectionPool", "read redis-py-pool"),
)
READS_BESIDE = (
    program(OURS, "the large value on a connection of its own", "read beside-large"),
    program("shared-large", "the large value on the shared connection", "read shared-large"),
    program("undisturbed", "nobody reads a large value", "read greenimi"),
)
FANS = (GREENIMI, AIOHTTP_FAN, GEVENT_WEBSOCKET_FAN)
WS = (GREENIMI, UVICORN_WS, WEBSOCKETS, WEBSOCKETS_UVLOOP, AIOHTTP, GEVENT_WEBSOCKET)
WS_LARGE = (GREENIMI, UVICORN_WS, WEBSOCKETS_UVLOOP, AIOHTTP)

# -- rows ----------------------------------------------------------------------------------------------------------

BROWSER = (  # with Host, which every client sends, a head of 14 headers and about 750 bytes
    "Connection: keep-alive",
    "Cache-Control: max-age=0",
    'sec-ch-ua: "Chromium";v="128", "Not;A=Brand";v="24", "Google Chrome";v="128"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "Upgrade-Insecure-Requests: 1",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: navigate",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    "Cookie: session=3f1c7a9be2d84c06a5d0e4b7c8f91a23; theme=dark; consent=necessary; last_seen=orders-2471; basket=empty",
)

ROWS = (
    Row("http-hello", "HTTP: GET /hello/{name} → JSON, 64 connections", "wrk", "http", HTTP),
    Row("http-browser", "HTTP: the same with a browser's head of 14 headers", "wrk", "http", HTTP, headers=BROWSER),
    Row("http-pipeline16", "HTTP: the same, 16 requests in flight on each of 64 connections", "client", "http", HTTP, depth=16),
    Row("http-1000", "HTTP: the same over 1000 connections", "wrk", "http", HTTP, connections=1000),
    Row("http-json", "HTTP: POST of 10 validated JSON fields, sent back, 64 connections", "wrk", "http", JSON, echo="/order"),
    Row("static", "HTTP: GET of a file of 1 MiB, 64 connections", "wrk", "http", (GREENIMI_FILES, NGINX_PLAIN), file="/files/mebibyte.bin"),
    Row(
        "http2",
        "HTTP/2 without TLS: GET /hello/{name} → JSON, 64 connections with 16 streams each",
        "h2load",
        "http",
        (GREENIMI, HYPERCORN, GUNICORN_HTTP2),
        depth=16,
    ),
    Row("ws-echo", "WebSocket: echo of 64-byte texts, 64 connections", "client", "ws", WS),
    Row("ws-echo-1k", "WebSocket: the same with texts of 1 KiB", "client", "ws", WS_LARGE, size=1024),
    Row("fanout", "Fan-out: a text of 64 bytes to each of 1000 WebSockets, one at a time", "fan", "ws", FANS, 1000),
    Row("fanout-two", "Fan-out: the same with two in flight", "fan", "ws", FANS, 1000, depth=2),
    Row("relay", "Fan-out: one at a time through two workers, 500 WebSockets each", "fan", "ws", (GREENIMI_RELAY, GREENIMI_ALONE), 1000),
    Row("push", "Push: a text of 64 bytes to one WebSocket, of the same worker and of the other", "push", "ws", (GREENIMI_PUSH,), 16),
    Row("tcp-line", "TCP: echo of 64-byte lines, 64 connections", "client", "tcp", (GREENIMI, *LINES)),
    Row("udp-echo", "UDP: echo of 64-byte datagrams, 64 sockets", "client", "udp", (GREENIMI, *DATAGRAMS)),
    Row("guest", "HTTP: a WSGI guest, GET /hello/{name} → JSON, 64 connections", "wrk", "http", (GREENIMI_GUEST, GUNICORN_GEVENT, GRANIAN)),
    Row("tls-hello", "HTTPS: GET /hello/{name} → JSON, 64 connections", "wrk", "https", (GREENIMI_TLS, ASGI_TLS, STARLETTE_TLS, NGINX_TLS)),
    Row("tls-connections", "HTTPS: a new connection for each request", "visits", "https", (GREENIMI_TLS, ASGI_TLS, NGINX_TLS)),
    Row("tls-memory", "Memory: each of 2000 idle HTTPS connections", "memory", "https", (GREENIMI_TLS, ASGI_TLS, NGINX_TLS), 2000),
    Row("http-memory", "Memory: each of 2000 idle HTTP connections", "memory", "http", (GREENIMI, ASGI_PATIENT, NGINX_PLAIN), 2000),
    Row("memory", "Memory: a worker after start, and each of 10 000 idle WebSockets", "memory", "ws", WS, connections=10_000),
    Row("idle-websockets", "Crowd: 45 000 idle WebSockets in three workers", "crowd", "ws", (GREENIMI_CROWD,), 45_000),
    Row("idle-websockets-tls", "Crowd: 15 000 idle WebSockets with TLS in three workers", "crowd", "wss", (GREENIMI_CROWD_TLS,), 15_000),
    Row("idle", "An idle server: a worker and its master, for 20 s", "idle", "http", (GREENIMI, GUNICORN_GEVENT, ASGI, GRANIAN)),
    Row("reload", "A reload under half of the full load: two workers, 64 connections", "reload", "http", (GREENIMI_PAIR,)),
    Row("upload", "Upload: a file of 512 MiB in a multipart form", "upload", "http", (GREENIMI,), 8, mebibytes=512),
    Row(
        "churn",
        "Churn: HTTP connections come and go, three of four rudely",
        "churn",
        "http",
        (GREENIMI,),
        visits=50_000,
        full_visits=1_000_000,
    ),
    Row(
        "tls-churn",
        "Churn: HTTPS connections come and go, three of four rudely",
        "churn",
        "https",
        (GREENIMI_TLS,),
        16,
        visits=60_000,
        full_visits=200_000,
    ),
    Row("pool", "Pool: take a resource and give it back, nobody else wants it", "calls", "none", TAKES),
    Row("cache-hit", "Cache: read a value in memory", "calls", "none", HITS),
    Row("cacheable-hit", "Cache: call a method whose result is in memory", "calls", "none", CACHEABLE_HITS),
    Row("mysql", "MySQL: select a row by its key, 32 greenlets, a connection taken and given back each time", "calls", "none", SELECTS),
    Row("mysqlclient", "The same by mysqlclient in its non-blocking use", "calls", "none", SELECTS_IN_C),
    Row("redis", "Redis: GET of a short value, 32 greenlets", "calls", "none", READS),
    Row("redis-large", "The same while another greenlet reads a value of 1 MiB 20 times a second", "calls", "none", READS_BESIDE),
)
