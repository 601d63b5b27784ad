"""The life of an application in one process."""

from __future__ import annotations

import itertools
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from zope.interface import implementer

from greenimi import bean, get, http, listener
from greenimi.app import App, run_app
from greenimi.config import Config, ConfigChanged, read_conf
from greenimi.container import Setup, Tier, current_container, scope
from greenimi.errors import ConfigError, ConflictError, MissingBean, NoScope, StartError
from greenimi.event.lifecycle import (
    ORDER,
    AppInit,
    Committed,
    Lifecycle,
    WorkerDraining,
    WorkerStarted,
    WorkerStarting,
    WorkerStopped,
    WorkerStopping,
)
from greenimi.interfaces import IService
from greenimi.testing.clients import HttpClient, MessageClient
from greenimi.testing.plugin import AppFactory, Serve
from greenimi.testing.support import make_app
from tests.apps import echo

life: list[Any] = []


@listener
def record(event: Lifecycle) -> None:
    life.append(event)


@listener
def record_change(event: ConfigChanged) -> None:
    life.append(event)


@bean
class Lamp:
    """Says when it is made and when it ends."""


@bean
def lamp_maker() -> Iterator[Lamp]:
    life.append("made")
    yield Lamp()
    life.append("ended")


@implementer(IService)
class Part:
    """A service that tells what is done to it."""

    tier = Tier.WORK

    def __init__(self, name: str, error: Exception | None = None) -> None:
        self.name = name
        self.error = error

    def start(self) -> None:
        life.append(f"{self.name} starts")
        if self.error:
            raise self.error

    def drain(self) -> None:
        life.append(f"{self.name} drains")

    def stop(self) -> None:
        life.append(f"{self.name} stops")


def part(name: str, error: Exception | None = None) -> Callable[[Setup], None]:
    def includeme(setup: Setup) -> None:
        setup.add_service(Part(name, error), name)

    return includeme


@pytest.fixture(autouse=True)
def _forget() -> None:
    life.clear()


WEB, TILL = {"kind": "http"}, {"kind": "tcp"}


# -- the order of its life -----------------------------------------------------------------------------------------


def told() -> list[tuple[str, ...]]:
    """The events so far: their names, with those of their servers."""
    return [(type(event).__name__, *filter(None, [getattr(event, "name", "")])) for event in life if isinstance(event, Lifecycle)]


def test_every_event_of_its_life_in_the_documented_order(serve: Serve) -> None:
    served = serve([record], {"servers": {"web": WEB, "till": TILL}})
    served.app.stop()
    servers = ("web", "till")
    assert told() == [
        ("ConfigLoaded",),
        ("Scanned",),
        ("Committed",),
        ("AppRun",),
        ("AppInit",),
        ("ServersCreating",),
        *((event, name) for name in servers for event in ("ServerCreating", "ServerCreated")),
        ("ServersCreated",),
        *(("ServerStarting", name) for name in servers),
        ("WorkerStarting",),
        ("WorkerStarted",),
        ("WorkerDraining",),
        ("WorkerStopping",),
        ("WorkerStopped",),
    ]


def test_with_one_server_it_is_the_order_of_the_list(serve: Serve) -> None:
    serve([record], {"servers": {"web": WEB}}).app.stop()
    assert [type(event) for event in life] == list(ORDER[:-2])


def test_services_live_between_the_events_of_the_worker(app_factory: AppFactory) -> None:
    app_factory([record, part("clock")], {"servers": {"web": WEB}}).stop()
    wanted = [WorkerStarting(), "clock starts", WorkerStarted(), WorkerStopping(), "clock stops", WorkerStopped()]
    assert [found for found in life if found in wanted] == wanted


def test_nothing_starts_at_commit() -> None:
    app = App(Config({}), [part("clock")])
    try:
        assert app.commit() is app
        app.commit()
        assert life == []
        assert current_container() is app.container
    finally:
        app.stop()
    assert life == []
    with pytest.raises(NoScope):
        current_container()


def test_listeners_of_a_committed_application_are_told_so(app_factory: AppFactory) -> None:
    app_factory([record])
    assert Committed() in life
    assert life.index(Committed()) < life.index(AppInit())


# -- the end -------------------------------------------------------------------------------------------------------


def test_stop_ends_everything_once(serve: Serve) -> None:
    served = serve([echo, record, lamp_maker, part("clock")], echo.CONF)
    app, address = served.app, served.addresses["web"]
    app.container.get(Lamp)
    with HttpClient(address) as web, MessageClient(served.addresses["till"]) as till:
        assert web.get("/echo/x").status == 200
        assert till.request("echo", text="x") == {"text": "x"}
        life.clear()
        app.stop()
        app.stop()
        drained = [WorkerDraining(restart=False, seconds=0.0), "clock drains"]
        assert life == [*drained, WorkerStopping(), "clock stops", WorkerStopped(), "ended"]
        till.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 5)


def test_an_error_while_stopping_stops_nothing(app_factory: AppFactory, caplog: pytest.LogCaptureFixture) -> None:
    @listener
    def fail(event: WorkerStopping) -> None:
        raise RuntimeError("no")

    app = app_factory([fail, lamp_maker, part("clock")])
    app.container.get(Lamp)
    app.stop()
    assert life[-2:] == ["clock stops", "ended"]
    assert "while stopping" in caplog.text
    with pytest.raises(NoScope):
        current_container()


def test_a_failed_start_stops_what_had_started() -> None:
    def lit(setup: Setup) -> None:
        setup.on_commit(lambda: setup.container.get(Lamp))

    app = make_app({}, [record, lamp_maker, lit, part("first"), part("second", OSError("no database")), part("third")])
    with pytest.raises(OSError, match="no database") as caught:
        app.start()
    assert caught.value.__notes__ == ["while starting the service second"]
    assert WorkerStarted() not in life
    assert [word for word in life if isinstance(word, str)] == ["made", "first starts", "second starts", "first stops", "ended"]
    with pytest.raises(NoScope):
        current_container()
    after = list(life)
    app.stop()
    assert life == after


def test_a_second_application_after_the_first_was_stopped(serve: Serve) -> None:
    first = serve([echo, record], echo.CONF).app
    first.stop()
    life.clear()
    second = serve([echo, record], echo.CONF)
    assert current_container() is second.app.container
    assert life.count(WorkerStarted()) == 1
    with HttpClient(second.addresses["web"]) as web:
        assert web.get("/echo/x").json() == {"text": "x"}
    assert second.app.container.get(echo.Stage) is not first.container.get(echo.Stage)
    second.app.stop()
    assert life.count(WorkerStopped()) == 1


# -- without doors -------------------------------------------------------------------------------------------------


def test_at_rest_is_inside_a_scope_and_nothing_starts() -> None:
    app = App(Config({}), [part("clock")])
    with app.at_rest() as same:
        assert same is app
        assert scope().container is app.container
        scope().defer(life.append, "deferred")
    assert life == ["deferred"]
    with pytest.raises(NoScope):
        scope()


def test_running_is_inside_a_scope_without_doors(free_port: Callable[..., int]) -> None:
    port = free_port()
    app = App(Config({"servers": {"web": {"bind": f"127.0.0.1:{port}"}}}), [part("clock")])

    def work() -> None:
        with app.running() as same:
            assert same is app
            assert scope().container is app.container
            scope().defer(life.append, "deferred")
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), 5)
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert life == ["clock starts", "deferred", "clock drains", "clock stops"]
    with pytest.raises(NoScope):
        scope()


# -- files ---------------------------------------------------------------------------------------------------------

numbers = itertools.count()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """``project(source, conf)``: a file of conf in ``conf/``, and the module it includes in the folder above; the name is for once."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    written: list[str] = []

    def write(source: str, conf: str = "") -> Path:
        name = f"shop{next(numbers)}"
        written.append(name)
        (tmp_path / f"{name}.py").write_text(source)
        file = tmp_path / "conf/app.toml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'include = ["{name}"]\n{conf}')
        return file

    yield write
    for name in written:
        sys.modules.pop(name, None)


def test_run_app_is_a_scripts_whole_life(project: Callable[..., Path]) -> None:
    file = project("from greenimi import bean\n@bean\nclass Shop:\n    name = 'owl'\n")
    inside: list[Any] = []

    def work(app: App) -> str:
        inside.append(current_container())
        module = sys.modules[app.config.get("include")[0]]
        return str(app.container.get(module.Shop).name)

    assert run_app(file, work) == "owl"
    with pytest.raises(NoScope):
        current_container()
    with pytest.raises(ZeroDivisionError):
        run_app(project(""), lambda app: 1 / 0)
    with pytest.raises(NoScope):
        current_container()


@pytest.mark.parametrize(("conf", "folder"), [("conf/app.toml", "."), ("app.toml", "."), ("etc/shop.toml", "etc")])
def test_from_file_puts_the_applications_folder_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conf: str, folder: str
) -> None:
    monkeypatch.setattr(sys, "path", ["elsewhere", *sys.path])
    monkeypatch.chdir(tmp_path)
    file = tmp_path / conf
    file.parent.mkdir(exist_ok=True)
    file.write_text('[app]\nname = "owl"\n')
    before = list(sys.path)
    assert App.from_file(conf).config.get("app.name") == "owl"
    assert sys.path == [str((tmp_path / folder).resolve()), *before]
    App.from_file(file)
    assert len(sys.path) == len(before) + 1


def test_which_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("GREENIMI_CONF", raising=False)
    with pytest.raises(ConfigError, match=r"there is no conf/app\.toml") as caught:
        read_conf()
    assert "greenimi new" in caught.value.hint
    for name in ("conf/app.toml", "other.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f'[app]\nname = "{name}"\n')
    assert read_conf().get("app.name") == "conf/app.toml"
    monkeypatch.setenv("GREENIMI_CONF", "other.toml")
    assert App.from_file().config.get("app.name") == "other.toml"
    assert App.from_file("conf/app.toml").config.get("app.name") == "conf/app.toml"
    assert App.from_file(argv=["--set", "app.name=x"]).config.get("app.name") == "x"


def test_the_environment_chooses_a_file(tmp_path: Path) -> None:
    (tmp_path / "app.toml").write_text("[app]\ndebug = false\n")
    (tmp_path / "night.toml").write_text("[app]\ndebug = true\n")
    assert not read_conf(tmp_path / "app.toml", env={}).get("app.debug")
    assert read_conf(tmp_path / "app.toml", env={"GREENIMI_ENV": "night"}).get("app.debug")


# -- broken applications -------------------------------------------------------------------------------------------

BROKEN = {
    "two handlers of one path": (
        "from greenimi import get, http\n@http\nclass A:\n    @get('/x')\n    def a(self): ...\n    @get('/x')\n    def b(self): ...\n",
        ConflictError,
        (4, 6),
    ),
    "a controller without handlers": ("from greenimi import http\n\n@http('/x')\nclass A: ...\n", StartError, (3,)),
    "a handler that cannot be called": (
        "from greenimi import get, http\n@http\nclass A:\n    @get('/x')\n    def a(self, x: open): ...\n",
        StartError,
        (4,),
    ),
    "a bean that is missing": (
        "from greenimi import bean\nclass B: ...\n@bean\nclass A:\n    def __init__(self, b: B): ...\n",
        MissingBean,
        (3,),
    ),
    "a listener to nothing": ("from greenimi import listener\n\n\n@listener\ndef hear(event): ...\n", StartError, (4,)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_application_names_file_and_line(project: Callable[..., Path], name: str) -> None:
    source, error, lines = BROKEN[name]
    file = project(source, '[servers.web]\nkind = "http"\n')
    app = App.from_file(file)
    with pytest.raises(error) as caught:
        app.start()
    for line in lines:
        assert f"{app.config.get('include')[0]}.py:{line}" in str(caught.value)
    with pytest.raises(NoScope):
        current_container()


def test_a_module_that_cannot_be_imported_says_why(project: Callable[..., Path]) -> None:
    with pytest.raises(SyntaxError) as caught:
        App.from_file(project("x = 1\nnonsense(")).commit()
    assert caught.value.lineno == 2
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        App.from_file(project("import no_such_library")).commit()
    file = project("")
    file.write_text('include = ["no_such_module"]\n')
    with pytest.raises(ConfigError, match="there is no module no_such_module"):
        App.from_file(file).commit()


@pytest.mark.parametrize(
    ("conf", "text"),
    [
        ("[servres]\nweb = {}\n", r"app\.toml:2: unknown section \[servres\]; did you mean \[servers\]\?"),
        ("[app]\nnmae = 'x'\n", r"app\.toml:3: unknown key nmae in \[app\]; did you mean name\?"),
        ("[servers.web]\nknid = 'http'\n", r"app\.toml:3: unknown key knid in \[servers\.web\]; did you mean kind\?"),
        ("[workers]\ncount = 'many'\n", r"app\.toml:3: workers\.count"),
    ],
)
def test_what_nobody_reads_in_conf_is_an_error(project: Callable[..., Path], conf: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        App.from_file(project("", conf)).commit()


@pytest.mark.parametrize("include", ["shop", [1]])
def test_include_is_a_list_of_names(include: Any) -> None:
    with pytest.raises(ConfigError, match="include must be a list of module names"):
        App(Config({"include": include})).commit()


# -- conf at run time ----------------------------------------------------------------------------------------------


def test_a_changed_value_is_told_to_listeners(app_factory: AppFactory) -> None:
    app = app_factory([record_change], {"app": {"name": "owl"}})
    app.config.set("app.name", "eagle")
    app.config.set("app.more", 1)
    assert life == [ConfigChanged("app.name", "owl", "eagle"), ConfigChanged("app.more", None, 1)]


def test_debug_shows_clients_what_went_wrong(app_factory: AppFactory) -> None:
    @http
    class Failing:
        @get("/")
        def fail(self) -> None:
            raise RuntimeError("the secret is 42")

    for debug in (True, False):
        with HttpClient(app_factory([Failing], {"app": {"debug": debug}, "servers": {"web": WEB}})) as web:
            assert ("the secret is 42" in web.get("/").text) == debug
