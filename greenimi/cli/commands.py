"""Commands of an application: functions, or methods of beans, marked ``@command()``."""

from __future__ import annotations

import argparse
import inspect
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from greenimi.cli.main import BUILTIN
from greenimi.cli.options import make_parser
from greenimi.cli.output import complain
from greenimi.cli.parameters import Parameters
from greenimi.errors import ConflictError, StartError
from greenimi.event.lifecycle import CommandFinished, CommandStarting
from greenimi.marks import Mark, Where, marks_of

if TYPE_CHECKING:
    from greenimi.app import App
    from greenimi.container.setup import Setup


@dataclass(frozen=True, slots=True)
class Command:
    """One command.  ``owner`` is the bean whose method it is, None for a function; ``starts``: the application is started for it."""

    name: str
    description: str
    owner: type | None
    attribute: str
    target: Callable[..., Any]
    parameters: Parameters
    where: Where
    starts: bool = True

    @property
    def sentence(self) -> str:
        """For listings."""
        return self.description.partition("\n")[0]

    def function(self, app: App) -> Callable[..., Any]:
        return self.target if self.owner is None else getattr(app.container.get(self.owner), self.attribute)


def includeme(setup: Setup) -> None:
    """Bring ``@command``."""
    setup.on_mark("command", add_command)


def add_command(setup: Setup, owner: type | None, name: str, target: Any, mark: Mark) -> None:
    """Handle a mark.  Raises StartError for what cannot be called from a command line."""
    command = mark.options["name"] or name.replace("_", "-")
    if isinstance(target, type):
        raise StartError(f"{mark.where}: @command goes on a function or a method, not on the class {name}")
    words = command.split()
    if command.startswith("-") or not command.isprintable() or len(words) > 2 or command != " ".join(words):
        raise StartError(f"{mark.where}: {command!r} cannot be the name of a command")
    if words[0] in BUILTIN:
        raise ConflictError(f"command {command}: {mark.where} and greenimi itself", hint='give it another name: @command("...")')
    if owner is not None and not marks_of(owner, "bean"):
        raise StartError(f"{mark.where}: @command on a method of {owner.__name__}, which is no bean", hint="mark its class with @bean")
    called = target if owner is None else inspect.getattr_static(owner, name, target).__get__(object(), owner)
    description = mark.options["help"] or inspect.getdoc(target) or ""
    found = Command(command, description, owner, name, target, Parameters(called, target, mark.where), mark.where, mark.options["start"])
    _parser(found)  # a parameter that no option can be made of is a mistake of the application
    setup.action(f"command {command}", lambda: setup.note("command", found), where=mark.where)


def commands_of(app: App) -> dict[str, Command]:
    """The commands of a committed application by name."""
    return {command.name: command for command in app.setup.introspect("command")}


def _parser(command: Command) -> argparse.ArgumentParser:
    parser = make_parser(f"greenimi {command.name}", command.description)
    command.parameters.add_to(parser)
    return parser


def run(app: App, command: Command, arguments: Sequence[str], *, debug: bool = False) -> int:
    """Run a command in a scope of its own, between CommandStarting and CommandFinished; the application is started unless it says no.

    The exit status is what it returns when that is a number from 0 to 255 (any other number is 1), and 0 for everything else.  After an
    exception it is 1; the exception is reported in one line, with its traceback when ``debug``.  Wrong arguments raise SystemExit(2) before
    anything starts.
    """
    call = command.parameters.bind(_parser(command).parse_args(arguments))
    with app.running() if command.starts else app.at_rest():
        app.events.emit(CommandStarting(command.name))
        status = 1
        try:
            status = _status(command.function(app)(*call.args, **call.kwargs))
        except SystemExit as end:
            status = _status(end.code) if isinstance(end.code, int | None) else 1
            raise
        except Exception as error:  # whatever the command raised is told to its user
            complain(_line(error, command), f"greenimi {command.name}")
            if debug:
                traceback.print_exception(error)
        finally:
            app.events.emit(CommandFinished(command.name, status))
    return status


def _status(value: object) -> int:
    if type(value) is not int:
        return 0
    return value if 0 <= value <= 255 else 1


def _line(error: Exception, command: Command) -> str:
    """What happened, and the last line of the command's own file that it came through."""
    text = " ".join(str(error).split())
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == command.where.file]
    place = f" ({Where(command.where.file, lines[-1] or 0)})" if lines else ""
    return f"{type(error).__name__}{': ' if text else ''}{text}{place}"
