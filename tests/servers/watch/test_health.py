"""Liveness, readiness and metrics of one worker, and the checks behind them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from greenimi import bean, get, green, health_check, http
from greenimi.app import App
from greenimi.config import Config
from greenimi.container import Container, Setup
from greenimi.container.context import scope
from greenimi.errors import ConfigError, ConflictError, StartError
from greenimi.servers.doors import Doors
from greenimi.servers.watch import health as module
from greenimi.servers.watch.health import Health, HealthSettings
from greenimi.servers.watch.statistics import Statistics
from greenimi.testing.contracts import ServiceContract
from greenimi.testing.links import connect
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until

HERE = ("127.0.0.1", 1234)
ELSEWHERE = ("203.0.113.9", 1234)


def conf(**settings: Any) -> dict[str, Any]:
    return {"servers": {"web": {"kind": "http"}, "beacon": {"kind": "udp"}}, "health": {"server": "web", **settings}}


@pytest.fixture
def start(app_factory: AppFactory) -> Callable[..., App]:
    """``start(Thing, server="web")``: an application with these included, and these settings of ``[health]``."""

    def make(*includes: Any, debug: bool = False, **settings: Any) -> App:
        return app_factory([module, *includes], {**conf(**settings), "app": {"debug": debug}})

    return make


def ask(app: App, path: str, address: Any = HERE, **headers: str) -> tuple[int, str]:
    with connect(app, address=address) as sock:
        fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n".encode())
        answer = answer_on(sock)
        return answer.status, answer.read().decode()


def answer_on(sock: Any) -> HTTPResponse:
    answer = HTTPResponse(sock)
    answer.begin()
    return answer


def ready(app: App, address: Any = HERE, **headers: str) -> tuple[int, Any]:
    status, body = ask(app, "/readyz", address, **headers)
    return status, json.loads(body)


class Switch:
    """A check that tests turn."""

    def __init__(self, problem: str = "") -> None:
        self.problem = problem
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.problem:
            raise RuntimeError(self.problem)


class TestService(ServiceContract):
    def make(self) -> Health:
        statistics = cast(Statistics, SimpleNamespace(state="ready", overloaded=False))
        container = Container("test")
        container.add(Doors, SimpleNamespace(servers={}))
        health = Health(container, statistics, HealthSettings())
        health.check("db", Switch())
        return health

    def is_running(self, service: Any) -> bool:
        return any(not greenlet.dead for greenlet in service._greenlets)


# -- the endpoints -------------------------------------------------------------------------------------------------


def test_a_worker_lives_and_is_ready(start: Callable[..., App]) -> None:
    app = start()
    assert ask(app, "/livez") == (200, "ok")
    assert ready(app) == (200, {"status": "ready", "checks": {"worker": "ok"}})
    with connect(app) as sock:
        sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer_on(sock).headers["Cache-Control"] == "no-store"


def test_nothing_answers_unless_a_server_is_named(start: Callable[..., App]) -> None:
    app = start(server="")
    assert [ask(app, path)[0] for path in ("/livez", "/readyz", "/metrics")] == [404, 404, 404]
    assert app.container.get(Health).results() == {"worker": ""}


def test_paths_are_those_of_conf(start: Callable[..., App]) -> None:
    app = start(live="/up", ready="", metrics="/numbers")
    assert [ask(app, path)[0] for path in ("/up", "/readyz", "/numbers", "/livez", "/metrics")] == [200, 404, 200, 404, 404]


def test_they_are_routes_like_others(start: Callable[..., App]) -> None:
    routes = {route.address: route.handler for route in start().setup.introspect("route")}
    assert routes.keys() == {"GET /livez", "GET /readyz", "GET /metrics"}
    assert routes["GET /livez"].startswith("greenimi.servers.watch.health:")


def test_a_path_that_the_application_has_itself_is_a_conflict() -> None:
    @http
    class Api:
        @get("/livez")
        def live(self) -> str:
            return "mine"

    with pytest.raises(ConflictError, match=r"GET /livez on server web: health\.py:\d+ and test_health\.py:\d+"):
        App(Config(conf()), [module, Api]).commit()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"server": "wbe"}, r"health\.server: there is no HTTP server 'wbe'\n  hint: did you mean web\?"),
        ({"server": "beacon"}, r"health\.server: there is no HTTP server 'beacon'\n  hint: HTTP servers in conf: web"),
        ({"allow": ["10.0.0.0/99"]}, r"health\.allow: '10\.0\.0\.0/99' does not appear to be"),
        ({"live": "livez"}, "the path 'livez' does not start with /"),
    ],
)
def test_mistakes_in_conf_are_named(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(StartError, match=problem):
        App(Config(conf(**settings)), [module]).commit()


def test_the_line_of_a_mistake_is_named(tmp_path: Path) -> None:
    (tmp_path / "app.toml").write_text('include = ["greenimi.servers.watch.health"]\n[servers.web]\n[health]\nserver = "web2"\n')
    with pytest.raises(ConfigError, match=r"app\.toml:4: health\.server: there is no HTTP server 'web2'"):
        App.from_file(tmp_path / "app.toml").commit()


# -- readiness -----------------------------------------------------------------------------------------------------


def test_a_draining_worker_is_not_ready_but_lives(start: Callable[..., App]) -> None:
    app = start()
    app.container.get(Statistics).drain()
    assert ready(app) == (503, {"status": "not ready", "checks": {"worker": "draining"}})
    assert ask(app, "/livez")[0] == 200


def test_a_worker_that_still_starts_is_not_ready(start: Callable[..., App]) -> None:
    app = start()
    app.container.get(Statistics).become("booting")
    assert ready(app) == (503, {"status": "not ready", "checks": {"worker": "booting"}})


def test_an_overloaded_worker_is_not_ready(start: Callable[..., App], monkeypatch: pytest.MonkeyPatch) -> None:
    app = start()
    monkeypatch.setattr(Statistics, "overloaded", True)
    assert ready(app) == (503, {"status": "not ready", "checks": {"worker": "overloaded"}})


def test_a_worker_with_too_much_to_do_lives(start: Callable[..., App], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who restarts what does not live would end a worker that only has much to do, and its work would go to the others."""
    app = start()
    for state in ("crowded", "overloaded"):
        monkeypatch.setattr(app.doors.runtime.handlers, state, True)
    assert ask(app, "/livez") == (200, "ok")
    assert ready(app)[0] == 503
    assert ask(app, "/metrics") == (503, ""), "everything else is turned away"


def test_a_check_makes_the_worker_unready_and_ready_again(start: Callable[..., App], caplog: pytest.LogCaptureFixture) -> None:
    switch = Switch("refused\nby the host")
    app = start(lambda setup: setup.container.get(Health).check("db", switch, every=0.01))
    wait_until(lambda: switch.calls)
    assert ready(app) == (503, {"status": "not ready", "checks": {"worker": "ok", "db": "RuntimeError: refused by the host"}})
    with caplog.at_level(logging.INFO):
        switch.problem = ""
        wait_until(lambda: ready(app)[0] == 200)
        calls = switch.calls
        wait_until(lambda: switch.calls > calls + 3)
    assert caplog.text.count("health check db: all is well again") == 1


def test_endpoints_never_run_a_check_themselves(start: Callable[..., App]) -> None:
    switch = Switch()
    app = start(lambda setup: setup.container.get(Health).check("db", switch, every=3600))
    wait_until(lambda: switch.calls == 1)
    for _ in range(5):
        ready(app)
    assert switch.calls == 1


def test_a_failure_is_logged_once(start: Callable[..., App], caplog: pytest.LogCaptureFixture) -> None:
    switch = Switch("refused")
    start(lambda setup: setup.container.get(Health).check("db", switch, every=0.001))
    wait_until(lambda: switch.calls > 5)
    assert caplog.text.count("health check db: RuntimeError: refused") == 1


def test_details_are_for_those_inside(start: Callable[..., App]) -> None:
    switch = Switch("password=1234")
    app = start(lambda setup: setup.container.get(Health).check("db", switch))
    wait_until(lambda: switch.calls)
    outsiders: list[tuple[Any, dict[str, str]]] = [
        (ELSEWHERE, {}),
        (HERE, {"X_Forwarded_For": "203.0.113.9"}),
        (HERE, {"Forwarded": "for=203.0.113.9"}),
        (("::ffff:203.0.113.9", 1, 0, 0), {}),
    ]
    for address, headers in outsiders:
        assert ready(app, address, **headers) == (503, {"status": "not ready"})
        assert ask(app, "/metrics", address, **headers)[0] == 403
        assert ask(app, "/livez", address, **headers)[0] == 200
    insiders: list[Any] = [HERE, ("::1", 1, 0, 0), ("::ffff:127.0.0.1", 1, 0, 0), ""]
    for address in insiders:
        assert ready(app, address)[1]["checks"]["db"] == "RuntimeError: password=1234"
        assert ask(app, "/metrics", address)[0] == 200


def test_who_is_inside_is_said_in_conf(start: Callable[..., App]) -> None:
    app = start(allow=["203.0.113.0/24"])
    assert [ask(app, "/metrics", address)[0] for address in (ELSEWHERE, HERE, "")] == [200, 403, 403]


def test_debug_shows_details_to_all_but_never_the_metrics(start: Callable[..., App]) -> None:
    app = start(debug=True)
    assert ready(app, ELSEWHERE)[1] == {"status": "ready", "checks": {"worker": "ok"}}
    assert ask(app, "/metrics", ELSEWHERE)[0] == 403


# -- checks --------------------------------------------------------------------------------------------------------


@health_check("stock", every=0.01)
def stock() -> bool:
    return False


@bean
class Database:
    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.closed = 0

    @health_check("database", every=0.01)
    def ping(self) -> None:
        self.scopes.append(scope())
        scope().defer(self.close)

    def close(self) -> None:
        self.closed += 1


def test_marked_functions_and_methods_of_beans_are_checks(start: Callable[..., App]) -> None:
    app = start(stock, Database)
    database = app.container.get(Database)
    wait_until(lambda: database.closed > 1)
    assert len({id(found) for found in database.scopes[:2]}) == 2
    assert isinstance(database.scopes[0].container, Container)
    wait_until(lambda: app.container.get(Health).results() == {"worker": "", "stock": "it says no", "database": ""})


def test_a_check_that_takes_too_long_fails_and_holds_up_no_other(start: Callable[..., App]) -> None:
    switch = Switch()

    def checks(setup: Setup) -> None:
        setup.container.get(Health).check("slow", lambda: green.sleep(3600), every=0.01, limit=0.05)
        setup.container.get(Health).check("fast", switch, every=0.01)

    app = start(checks)
    wait_until(lambda: app.container.get(Health).results()["slow"] == "TimeoutError: no answer within 0.05 seconds")
    assert switch.calls > 1


def test_a_check_that_never_ends_is_found_out(start: Callable[..., App], monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def stubborn() -> None:
        while True:
            calls.append(1)
            if len(calls) == 1:
                return
            try:
                green.sleep(3600)
            except TimeoutError:
                pass

    monkeypatch.setattr(module, "_GRACE", 0.1)
    app = start(lambda setup: setup.container.get(Health).check("slow", stubborn, every=0.01, limit=0.01))
    wait_until(lambda: app.container.get(Health).results()["slow"].startswith("no result for"))


def test_whatever_a_check_raises_it_runs_again(start: Callable[..., App]) -> None:
    errors: Iterator[BaseException] = iter([SystemExit(1), KeyboardInterrupt(), green.Timeout(1), ValueError("x" * 1000)])
    seen: list[str] = []

    def check() -> None:
        seen.append(app.container.get(Health).results()["odd"] if seen else "")
        raise next(errors, RuntimeError("the last"))

    app = start()
    app.container.get(Health).check("odd", check, every=0.001)
    wait_until(lambda: len(seen) > 5)
    assert [text[:11] for text in seen[1:5]] == ["SystemExit:", "KeyboardInt", "Timeout: 1 ", "ValueError:"]
    assert max(map(len, seen)) == 300


def test_a_check_may_come_late(start: Callable[..., App]) -> None:
    app = start()
    switch = Switch()
    health = app.container.get(Health)
    health.check("late", switch)
    assert health.results()["late"] == "it has not run yet"
    wait_until(lambda: switch.calls)
    assert ready(app)[0] == 200


def test_names_of_checks_are_their_own(start: Callable[..., App]) -> None:
    health = start().container.get(Health)
    health.check("db", Switch())
    with pytest.raises(ConflictError, match=r"the health check db: test_health\.py:\d+ and test_health\.py:\d+"):
        health.check("db", Switch())
    with pytest.raises(StartError, match="worker is no name for a health check"):
        health.check("worker", Switch())
    assert health.results().keys() == {"worker", "db"}


def test_checks_end_with_the_application(start: Callable[..., App]) -> None:
    switch = Switch()
    app = start(lambda setup: setup.container.get(Health).check("db", switch, every=0.001))
    wait_until(lambda: switch.calls > 1)
    greenlets = list(app.container.get(Health)._greenlets)
    app.stop()
    wait_until(lambda: all(greenlet.dead for greenlet in greenlets))
    calls = switch.calls
    green.sleep(0.02)
    assert switch.calls == calls


# -- at the start --------------------------------------------------------------------------------------------------


def test_verify_waits_for_the_first_results(start: Callable[..., App]) -> None:
    app = start()
    health = app.container.get(Health)
    health.verify()
    switch = Switch()
    health.check("db", switch, every=3600)
    health.verify()
    assert switch.calls == 1
    health.check("cache", Switch("gone"))
    health.check("mail", lambda: False)
    with pytest.raises(StartError, match=r"health checks fail: cache: RuntimeError: gone; mail: it says no\n  hint: is everything running"):
        health.verify()


def test_verify_does_not_wait_for_ever(start: Callable[..., App]) -> None:
    health = start().container.get(Health)
    health.check("slow", lambda: green.sleep(3600), limit=3600)
    began = time.monotonic()
    with pytest.raises(StartError, match=r"slow: no result within 0\.05 seconds"):
        health.verify(0.05)
    assert time.monotonic() - began < 5


# -- metrics -------------------------------------------------------------------------------------------------------


@http
class Api:
    @get("/hello")
    def hello(self) -> str:
        return "hello"


def test_metrics_are_of_this_moment(start: Callable[..., App]) -> None:
    app = start(Api)
    app.container.get(Statistics).add_source("pool.main", lambda: {"busy": 3})
    for _ in range(3):
        assert ask(app, "/hello")[0] == 200
    with connect(app) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = answer_on(sock)
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        families = {family.name: family for family in text_string_to_metric_families(answer.read().decode())}
    labels = {"server": "web", "kind": "http"}
    messages = {(sample.name, sample.labels["kind"]): sample.value for sample in families["greenimi_messages"].samples}
    assert messages["greenimi_messages_total", "http"] == 3
    assert [sample.value for sample in families["greenimi_pool_busy"].samples] == [3]
    counted = [s.value for s in families["greenimi_message_seconds"].samples if s.name.endswith("_count") and s.labels == labels]
    assert counted == [3]
    assert [s.value for s in families["greenimi_workers"].samples if s.labels == {"state": "ready"}] == [1]
