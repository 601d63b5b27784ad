"""``greenimi``: find the command, run it, turn errors into one clear message and an exit status."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import greenimi
from greenimi.cli.options import CONF_HELP, UsageError, add_common, choose_environment, committed, conf_file, make_parser
from greenimi.cli.output import complain, say
from greenimi.errors import StartError

if TYPE_CHECKING:
    from greenimi.app import App

BUILTIN = {
    "new": "Make a project: an application, its conf and a test.",
    "serve": "Serve the application: with worker processes, or in one process while developing.",
    "reload": "Have a running service take new code and configuration, without refusing anybody.",
    "status": "Show a running service: workers, connections, queues, lag, memory.",
    "drain": "Have a running service, or one of its workers, finish its work and end.",
    "push": "Send something to clients of a running service: to a group, a user, one connection or everyone.",
    "check": "Find mistakes in the application and its conf without serving it.",
    "routes": "List what is served: server, address, handler, its layers, file and line.",
    "beans": "List the beans: name, what they are found by, lifetime, servers, file and line.",
    "conf": "Show the configuration: every value that is set and where it was set, or every key there is.",
    "shell": "Open a Python prompt inside the started application, without its servers.",
}
"""Commands of ours and what they do: each is a module of this package."""

_ORIENTATION = """\
greenimi {version}: long-connection services in plain blocking Python.

  greenimi new shop --kind http    make a project, then: cd shop
  greenimi serve --reload          serve it, and start again after every change
  greenimi check                   find mistakes without serving
  greenimi routes                  what is served where
  greenimi --help                  all commands and options"""

_EXAMPLES = """\
greenimi new shop --kind http
greenimi serve conf/app.toml --workers 4
greenimi serve --help                              what a command takes
greenimi --conf conf/app.toml report --month 5     a command of the application, marked @command"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.  The exit status: 0 well, 1 it failed, 2 it was called in a wrong way.

    Raises SystemExit where argparse or Gunicorn end the process themselves.  The standard library must be patched.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        return _run(_parser(), argv)
    except UsageError as error:
        complain(error)
        return 2
    except StartError as error:
        complain(error)
        if "--debug" in argv:
            traceback.print_exception(error)
        return 1
    except BrokenPipeError:  # whoever read our output went away: `greenimi routes | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> ArgumentParser:
    parser = make_parser("greenimi", "Make, check and serve applications of greenimi.", _EXAMPLES, add_help=False)
    parser.usage = "greenimi [options] COMMAND [arguments]"
    parser.add_argument("-h", "--help", action="store_true", help="show this; behind a command, or before it: what that command takes")
    parser.add_argument("--conf", metavar="CONF", help=CONF_HELP)
    add_common(parser)
    parser.add_argument("--version", action="version", version=f"greenimi {greenimi.__version__}")
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _run(parser: ArgumentParser, argv: Sequence[str]) -> int:
    if not argv:
        say(_ORIENTATION.format(version=greenimi.__version__))
        return 0
    options = parser.parse_args(argv)
    choose_environment(options)
    name, arguments = options.command, options.arguments
    if options.help:
        if name is None:
            parser.epilog = f"{_listing(options)}\n\n{parser.epilog}"
            say(parser.format_help().rstrip())
            return 0
        arguments = ["--help"]
    if name is None:
        raise UsageError("no command given; greenimi --help lists them")
    if name in BUILTIN:
        return _run_builtin(name, options, arguments)
    return _run_of_application(name, options, arguments)


def _run_builtin(name: str, options: Namespace, arguments: list[str]) -> int:
    module = importlib.import_module(f"greenimi.cli.{name}")
    parser = make_parser(f"greenimi {name}", BUILTIN[name], module.EXAMPLES)
    module.arguments(parser)
    add_common(parser)
    options = parser.parse_args(arguments, options)
    choose_environment(options)
    status: int = module.run(options)
    return status


def _run_of_application(name: str, options: Namespace, arguments: list[str]) -> int:
    if not conf_file(options).is_file():
        hint = f"commands of an application need its conf, and there is no {conf_file(options)}"
        raise UsageError(f"there is no command {name}{_suggest(name, BUILTIN)}\n  hint: {hint}")
    from greenimi.cli import commands

    app = committed(options)
    known = commands.commands_of(app)
    group = [command for command in known if command.startswith(f"{name} ")]
    if group and name not in known:
        if not arguments or arguments[0].startswith("-"):
            say("\n".join(f"greenimi {command:<18} {known[command].sentence}" for command in group))
            return 0 if arguments else 2
        name, arguments = f"{name} {arguments[0]}", arguments[1:]
    if name not in known:
        raise UsageError(f"there is no command {name}{_suggest(name, [*BUILTIN, *known])}")
    return commands.run(app, known[name], arguments, debug=options.debug)


def _suggest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]}?" if close else "; greenimi --help lists them"


def _listing(options: Namespace) -> str:
    """The commands with their sentences: ours, and the application's where there is one."""
    lines = ["commands:"]
    lines += [f"  {name:<14} {sentence}" for name, sentence in BUILTIN.items()]
    if conf_file(options).is_file():
        from greenimi.cli import commands

        lines += ["", f"commands of the application ({conf_file(options)}):"]
        try:
            app: App = committed(options)
        except Exception as error:  # help must come, whatever is wrong with the application
            lines.append(f"  it cannot be read: {type(error).__name__}: {error}")
        else:
            found = commands.commands_of(app).values()
            lines += [f"  {command.name:<14} {command.sentence}" for command in found] or ["  none: mark a function with @command()"]
    return "\n".join(lines)
