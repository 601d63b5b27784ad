"""The fenced blocks of a page, and how each kind of them runs.  The info string of a fence says what its block is:

python              runs as it stands, with the names of the blocks before it at hand
python app[=NAME]   the module NAME: an application, served in this process until the next one comes or the page ends; it is called ``app``
toml                an application (the page's, where there is one) commits with it
toml app            what the next ``python app`` is served with; without servers of its own, ``CONF``
... file=PATH       either of them is only written to the page's folder
console             commands after ``$ ``, each with what it prints (``...``: anything); lines after ``> `` are typed into the command
json                parses
text                is only read
... not-run="why"   is not run

The ports 8000, 9000 and 9001 stand for free ones.  A command that serves runs until the next one comes or the page ends.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from greenimi.app import App
from greenimi.config import Config
from greenimi.container.registry import set_default_container
from greenimi.testing import support
from tests.docs.terminal import Terminal

CONF = """
web = { kind = "http", bind = "127.0.0.1:8000" }
tcp = { kind = "tcp", bind = "127.0.0.1:9000" }
udp = { kind = "udp", bind = "127.0.0.1:9001" }
"""
"""The servers of a page's applications, where it does not say otherwise."""


@dataclass(frozen=True)
class Block:
    """One fenced block; ``line`` is that of its content."""

    line: int
    language: str
    words: dict[str, str]
    text: str


def blocks_of(text: str) -> Iterator[Block]:
    """Raises ValueError for a fence that does not end."""
    lines = enumerate(text.splitlines(), 1)
    for number, line in lines:
        fence = re.match(r"(\s*)(`{3,}|~{3,})(.*)", line)
        if fence is None:
            continue
        content = []
        for _, inner in lines:
            if inner.strip() == fence[2]:
                break
            content.append(inner.removeprefix(fence[1]))
        else:
            raise ValueError(f"line {number}: this fence does not end")
        language, *words = shlex.split(fence[3]) or [""]
        yield Block(number + 1, language, {word.partition("=")[0]: word.partition("=")[2] for word in words}, "\n".join(content) + "\n")


class Page(ExitStack):
    """One page while its blocks run, in order, in its folder."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__()
        self._name = name
        self._folder = folder
        self._terminal = Terminal(folder)
        self.callback(set_default_container, set_default_container(None))
        self.callback(self._terminal.stop_serving)
        self._serving = self.enter_context(ExitStack())
        self._names: dict[str, Any] = {}
        self._conf: dict[str, Any] = {}
        self._module: list[ModuleType] = []

    def run(self, block: Block) -> None:
        """Raises what the block raises, AssertionError where it does something else than the page says."""
        if "not-run" in block.words:
            assert len(block.words["not-run"]) > 10, 'say why: not-run="it needs a cluster"'
            return
        text = self._terminal.with_ports(block.text)
        if file := block.words.get("file"):
            (self._folder / file).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / file).write_text(text)
            return
        match block.language:
            case "python" if "app" in block.words:
                self._serve(block.words["app"] or "app", text, block.line)
            case "python":
                self._execute("page", text, block.line, self._names)
            case "toml" if "app" in block.words:
                self._conf = tomllib.loads(text)
            case "toml":
                self._commit(tomllib.loads(text))
            case "console":
                self._terminal.run(text, block.line)
            case "json":
                json.loads(text)
            case other:
                assert other == "text", f"a block of {other or 'no language'} is not run; make it text, or say not-run=..."

    def _execute(self, name: str, text: str, line: int, names: dict[str, Any]) -> ModuleType:
        module = ModuleType(name)
        vars(module).update(names)
        vars(module)["__name__"] = name
        before = sys.modules.get(name)
        self.callback(lambda: sys.modules.pop(name, None) if before is None else sys.modules.update({name: before}))
        sys.modules[name] = module  # dataclasses and dotted names in conf look there
        # empty lines in front, so that tracebacks tell the lines of the page
        exec(compile("\n" * (line - 1) + text, self._name, "exec", dont_inherit=True), vars(module))
        self._names = vars(module)
        return module

    def _serve(self, name: str, text: str, line: int) -> None:
        self._serving.close()
        self._module = [self._execute(name, text, line, {})]
        conf = {"servers": tomllib.loads(self._terminal.with_ports(CONF)), **self._conf}
        app, _ = self._serving.enter_context(support.serving(support.make_app(conf, self._module)))
        self._names = {**self._names, "app": app}

    def _commit(self, table: dict[str, Any]) -> None:
        app = App(Config(table), self._module)
        try:
            app.commit()
        finally:
            app.stop()
