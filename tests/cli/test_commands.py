from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import pytest

from greenimi import bean, command
from greenimi.cli import commands
from greenimi.config import Config
from greenimi.container import Setup
from greenimi.container import includeme as include_container
from greenimi.errors import ConflictError, StartError
from greenimi.testing.support import gather
from tests.cli.support import MAIN, PATIENCE, Project, environment

COMMANDS = '''
import sys
from threading import Event
from typing import Literal
from greenimi import bean, command, listener
from greenimi.container import scope
from greenimi.event.lifecycle import CommandFinished, CommandStarting, WorkerStarted, WorkerStopped

@bean
class Stock:
    def __init__(self) -> None:
        self.items = {"tea": 3}

@bean
class Reports:
    def __init__(self, stock: Stock) -> None:
        self._stock = stock

    @command()
    def count(self, sku: str, *, times: int = 1) -> int:
        """Count an item.

        The exit status is how many there are.
        """
        print(scope().message, self._stock.items[sku] * times)
        return self._stock.items[sku] * times

@command("do-it", help="Show what came.")
def do_it(kinds: list[int], *, dry: bool = False, tags: list[str] = [], way: Literal["up", "down"] = "up") -> None:
    print(kinds, dry, tags, way)

@command()
def leave(status: str) -> object:
    """Leave in some way."""
    if status == "exit":
        sys.exit(7)
    return {"false": False, "none": None, "big": 256, "minus": -1, "five": 5}[status]

@command()
def fail() -> None:
    raise ValueError("it is\\n  broken")

@command()
def wait() -> None:
    print("waiting", flush=True)
    Event().wait()

@listener
def starting(event: CommandStarting) -> None:
    print("starting", event.name)

@listener
def finished(event: CommandFinished) -> None:
    print("finished", event.name, event.status)

@listener
def up(event: WorkerStarted) -> None:
    print("up")

@listener
def down(event: WorkerStopped) -> None:
    print("down")
'''


@pytest.fixture
def shop(project: Project) -> Project:
    project.write("app.py", COMMANDS)
    return project


def test_a_method_of_a_bean_runs_in_the_started_application_between_the_events(shop: Project) -> None:
    done = shop.run("count", "tea", "--times", "2")
    assert done.returncode == 6, done.stderr
    assert done.stdout.splitlines() == ["up", "starting count", "None 6", "finished count 6", "down"]


def test_arguments_options_arrays_and_negatable_flags(shop: Project) -> None:
    assert "[1, 2] False [] up" in shop.run("do-it", "1", "2").stdout
    assert "[3] True ['a', 'b'] down" in shop.run("do-it", "3", "--dry", "--tags", "a", "--tags", "b", "--way", "down").stdout
    assert "[3] False [] up" in shop.run("do-it", "3", "--dry", "--no-dry").stdout


def test_help_is_the_docstring_and_starts_nothing(shop: Project) -> None:
    done = shop.run("count", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(
        "usage: greenimi count [-h] [--times TIMES] SKU\n\nCount an item.\n\nThe exit status is how many there are.\n"
    )
    assert "up\n" not in done.stdout
    assert "Show what came." in shop.run("do-it", "--help").stdout


def test_wrong_arguments_end_with_2_and_start_nothing(shop: Project) -> None:
    done = shop.run("do-it", "one")
    assert done.returncode == 2
    assert "argument KINDS: expected int, got str 'one'" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(("way", "status"), [("false", 0), ("none", 0), ("five", 5), ("big", 1), ("minus", 1), ("exit", 7)])
def test_exit_status(shop: Project, way: str, status: int) -> None:
    done = shop.run("leave", "--", way)
    assert done.returncode == status
    assert f"finished leave {status}\ndown" in done.stdout


def test_an_exception_is_one_line_with_its_place_and_1(shop: Project) -> None:
    line = COMMANDS.splitlines().index('    raise ValueError("it is\\n  broken")') + 1
    done = shop.run("fail")
    assert done.returncode == 1
    assert done.stderr == f"greenimi fail: ValueError: it is broken (app.py:{line})\n"
    assert "finished fail 1\ndown" in done.stdout


def test_an_interrupt_is_no_traceback(shop: Project) -> None:
    running = subprocess.Popen(
        [sys.executable, MAIN, "wait"], cwd=shop.folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with running:
        assert running.stdout is not None
        assert "waiting\n" in iter(running.stdout.readline, "")
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert "Traceback" not in err
    assert out == "finished wait 1\ndown\n"


def test_debug_shows_the_traceback(shop: Project) -> None:
    done = shop.run("--debug", "fail")
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert 'raise ValueError("it is' in done.stderr


def test_the_conf_may_be_named_before_the_command(shop: Project) -> None:
    shop.write("other.toml", 'include = ["greenimi.cli.commands", "app"]\n')
    (shop.folder / "conf/app.toml").unlink()
    assert "[1] False [] up" in shop.run("--conf", "other.toml", "do-it", "1").stdout


def commit(*marked: Any) -> Setup:
    setup = Setup(Config({}))
    for what in (include_container, commands, *gather(marked)):
        setup.include(what)
    setup.commit()
    return setup


@command()
def serve() -> None: ...


@command("twice")
def one() -> None: ...


@command("twice")
def two() -> None: ...


@command("with  blank")
def blank() -> None: ...


class Plain:
    @command()
    def method(self) -> None: ...


@command()
class Thing: ...


@pytest.mark.parametrize(
    ("marked", "error", "text"),
    [
        ([serve], ConflictError, r"command serve: test_commands.py:\d+ and greenimi itself"),
        ([one, two], ConflictError, r"command twice: test_commands.py:\d+ and test_commands.py:\d+"),
        ([blank], StartError, r"test_commands.py:\d+: 'with  blank' cannot be the name of a command"),
        ([Plain], StartError, r"test_commands.py:\d+: @command on a method of Plain, which is no bean"),
        ([Thing], StartError, r"test_commands.py:\d+: @command goes on a function or a method, not on the class Thing"),
    ],
)
def test_mistakes_are_found_at_commit(marked: list[Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        commit(*marked)


@command("serve twice")
def of_ours() -> None: ...


@pytest.mark.parametrize("name", ["one two three", " one", "one\ttwo", "one "])
def test_a_name_is_one_word_or_two(name: str) -> None:
    with pytest.raises(StartError, match="cannot be the name of a command"):
        commit(command(name)(lambda: None))
    with pytest.raises(ConflictError, match="command serve twice: "):
        commit(of_ours)


def test_commands_of_a_group_and_without_a_start(shop: Project) -> None:
    shop.write(
        "app.py",
        COMMANDS
        + """

@command("stock list", start=False)
def stock_list(*, times: int = 1) -> None:
    \"\"\"List it.\"\"\"
    print(scope().message, "listed", times)

@command("stock count")
def stock_count() -> None:
    \"\"\"Count it.\"\"\"
""",
    )
    done = shop.run("stock", "list", "--times", "2")
    assert (done.returncode, done.stdout) == (0, "starting stock list\nNone listed 2\nfinished stock list 0\n")
    assert "up\n" in shop.run("stock", "count").stdout
    listing = "greenimi stock list         List it.\ngreenimi stock count        Count it.\n"
    assert (shop.run("stock").returncode, shop.run("stock").stdout) == (2, listing)
    assert (shop.run("stock", "--help").returncode, shop.run("stock", "--help").stdout) == (0, listing)
    assert shop.run("stock", "lst").stderr == "greenimi: there is no command stock lst; did you mean stock list?\n"
    assert "usage: greenimi stock list [-h] [--times TIMES]" in shop.run("stock", "list", "--help").stdout


@bean
class Tools:
    @command()
    @staticmethod
    def still(a: int) -> int:
        return a

    @command()
    @classmethod
    def of_class(cls, a: int) -> int:
        return a


def test_static_and_class_methods_have_their_own_parameters_alone() -> None:
    found = {each.name: each for each in commit(Tools).introspect("command")}
    assert list(found) == ["still", "of-class"]
    assert [commands._parser(each).format_usage() for each in found.values()] == [
        "usage: greenimi still [-h] A\n",
        "usage: greenimi of-class [-h] A\n",
    ]
