"""What commands have in common: the options that choose an application and its configuration."""

from __future__ import annotations

import argparse
import os
from argparse import SUPPRESS, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from typing import TYPE_CHECKING

from greenimi.config import DEFAULT_CONF, Config, read_conf

if TYPE_CHECKING:
    from greenimi.app import App


CONF_HELP = "the application's conf (default: GREENIMI_CONF, or conf/app.toml)"


class UsageError(Exception):
    """The command was called in a wrong way: exit status 2."""


def make_parser(prog: str, description: str, examples: str = "", *, add_help: bool = True) -> ArgumentParser:
    """A parser whose help ends with examples."""
    epilog = f"examples:\n{_indented(examples)}" if examples else None
    formatter = RawDescriptionHelpFormatter
    return ArgumentParser(
        prog=prog, description=description, epilog=epilog, formatter_class=formatter, allow_abbrev=False, add_help=add_help
    )


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())


def add_common(parser: ArgumentParser) -> None:
    """Options that may stand before the command or, for those of ours, behind it: both count."""
    parser.add_argument("--env", metavar="NAME", help="the environment: conf/NAME.toml is read as well (default: development)")
    parser.add_argument("--set", dest="sets", action="append", metavar="KEY=VALUE", help="set one key of conf: a.b=value; may be repeated")
    parser.add_argument("--debug", action="store_true", default=False, help="show the traceback of an error")


def add_conf(parser: ArgumentParser) -> None:
    parser.add_argument("conf", nargs="?", default=SUPPRESS, metavar="CONF", help=CONF_HELP)


def add_json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")


def config_arguments(options: Namespace) -> list[str]:
    """What the configuration reads of the command line."""
    return [word for assignment in options.sets or () for word in ("--set", assignment)]


def choose_environment(options: Namespace) -> None:
    """Put ``--env`` where this process, its workers and the commands it starts look for it."""
    if options.env:
        os.environ["GREENIMI_ENV"] = options.env


def conf_file(options: Namespace) -> Path:
    """The file that ``read_conf`` reads."""
    return Path(options.conf or os.environ.get("GREENIMI_CONF", DEFAULT_CONF))


def read_config(options: Namespace) -> Config:
    """The configuration alone; nothing of the application is imported.  Raises ConfigError."""
    return read_conf(options.conf, argv=config_arguments(options))


def committed(options: Namespace) -> App:
    """The application, checked but not started.  Raises StartError, and whatever importing it raises."""
    from greenimi.app import App

    return App.from_file(options.conf, argv=config_arguments(options)).commit()


def positive(text: str) -> int:
    """An argparse type: a number from 1."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) < 10_000:
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text[:40]!r}")
    return int(text)
