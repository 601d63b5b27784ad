"""``greenimi new``"""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from greenimi.cli.output import say
from greenimi.errors import StartError

EXAMPLES = """
greenimi new shop                                an HTTP application in the new folder shop
greenimi new talk --kind chat                    a chat in the browser, for any number of workers
greenimi new game --kind websocket
greenimi new services/till --kind tcp
"""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a project of this kind is, and how to ask it something by hand."""

    sentence: str
    ask: str


_CHAT = "xdg-open http://127.0.0.1:8000/?name=Ann               # and another window with another name"
_HTTP = "curl http://127.0.0.1:8000/hello/World"
_WEBSOCKET = """\
# pip install websockets; type {"action": "echo", "text": "hello"} at its prompt
python -m websockets ws://127.0.0.1:8000/echo"""
_TCP = """echo '{"action": "echo", "text": "hello"}' | nc -N 127.0.0.1 9000"""
_UDP = """echo '{"action": "echo", "text": "hello"}' | nc -u -w 1 127.0.0.1 9001"""

KINDS = {
    "http": _Kind("An HTTP application.", _HTTP),
    "websocket": _Kind("A WebSocket application: messages are JSON objects with an action.", _WEBSOCKET),
    "chat": _Kind("A chat in the browser, which stays whole over lost connections and restarts.", _CHAT),
    "tcp": _Kind("A TCP application: a JSON object a line.", _TCP),
    "udp": _Kind("A UDP application: a JSON object a datagram.", _UDP),
    "full": _Kind("One application behind four doors: HTTP, WebSocket, TCP and UDP.", f"{_HTTP}\n{_WEBSOCKET}\n{_TCP}\n{_UDP}"),
}

_FILES = {
    "app.py": "{kind}_app.py.tmpl",
    "conf/app.toml": "{kind}_conf.toml.tmpl",
    "tests/test_app.py": "{kind}_test.py.tmpl",
    "README.md": "readme.md.tmpl",
    ".gitignore": "gitignore.tmpl",
}
_MORE_FILES = {"chat": {"page/index.html": "chat_page.html.tmpl", "page/page.js": "chat_page.js.tmpl"}}


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the folder to make; the last part of its path is the application's name")
    parser.add_argument("--kind", choices=list(KINDS), default="http", help="what it speaks (default: http)")


def run(options: Namespace) -> int:
    make(Path(options.name), options.kind)
    say(f"made {options.name}; next:\n\n  cd {options.name}\n  greenimi serve --reload")
    return 0


def make(folder: Path, kind: str) -> None:
    """Write a project.  Raises StartError, before anything is written, when there is something in the folder or the name will not do."""
    name = folder.resolve().name
    if not _NAME.fullmatch(name):
        raise StartError(f"{name[:100]!r} cannot be the name of an application", hint="letters, digits, - and _, a letter first")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StartError(f"{folder} exists and is not an empty folder", hint="choose another name")
    values = {"name": name, "kind": kind, "sentence": KINDS[kind].sentence, "ask": KINDS[kind].ask}
    templates = resources.files("greenimi.cli.templates")
    for path, template in {**_FILES, **_MORE_FILES.get(kind, {})}.items():
        text = (templates / template.format(kind=kind)).read_text("utf-8")
        target = folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(Template(text).substitute(values), "utf-8")
        except OSError as error:
            raise StartError(f"{target} cannot be written: {error.strerror}") from error
