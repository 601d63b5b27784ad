"""The configuration as the application reads it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from zope.interface import implementer

from greenimi.config import sources
from greenimi.config.env import Env
from greenimi.config.secret import Secret, protect
from greenimi.config.settings import bind, did_you_mean
from greenimi.config.tree import Keys, Source, Tree, split
from greenimi.errors import ConfigError
from greenimi.interfaces import IConfig

S = TypeVar("S")
ENVIRONMENT = "environment"
"""The key :func:`load` sets, so that everybody may ask for it; it chooses a file, so no file can set it."""
DEFAULT_CONF = "conf/app.toml"
_MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class ConfigChanged:
    """A value changed while running.  ``old`` is None when there was none."""

    path: str
    old: Any
    new: Any


@implementer(IConfig)
class Config:
    """The tree of configuration.  Reading never blocks; settings objects already made do not change with :meth:`set`.

    A path is dotted, a number is an item of a list: ``a.b.0.c``.  ``@app.x.y`` is the same as ``x.y``; ``@server.web.x`` is
    ``servers.web.x``; ``@currentServer.x`` asks the table of the current server first, then ``x``.

    ``on_change``       callables told of each :class:`ConfigChanged`, in order
    ``known``           every path that :meth:`settings` bound, with its type
    ``current_server``  says the name of the server whose message is being handled, or None
    """

    def __init__(
        self,
        table: Mapping[str, Any] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        current_server: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._tree = Tree()
        if table:
            self._tree.merge(table, Source("given"))
        self.env = Env(env or {})
        self.current_server = current_server
        self.known: dict[str, Any] = {}
        self._binders: dict[Any, Any] = {}  # of the kinds among them
        self._asked: set[str] | None = set()  # what was read by path until ``check``: an application's own keys
        self.on_change: list[Callable[[ConfigChanged], object]] = []

    def get(self, path: str, default: Any = _MISSING) -> Any:
        """The value at ``path``, tables and lists as copies; ``default`` when absent, ConfigError when there is none."""
        for keys in self._keys(path):
            if self._asked is not None:
                self._asked.add(".".join(keys))
            value = self._tree.find(keys, _MISSING)
            if value is not _MISSING:
                return protect("", value)
        if default is _MISSING or default is ...:
            raise ConfigError(f"there is no {path} in the configuration")
        return default

    def section(self, path: str) -> Mapping[str, Any]:
        """The table at ``path``, empty when absent.  ConfigError when there is something else."""
        found = self.get(path, {})
        if not isinstance(found, dict):
            raise ConfigError(f"{self._at(path)}{path} is not a table")
        return found

    def settings(self, path: str, kind: type[S]) -> S:
        """The table at ``path`` bound to ``kind``, a frozen dataclass or a dict of them.  Remembers the pair in ``known``.

        Raises ConfigError with a line for each problem: place, key, what was expected and a suggestion.
        """
        self.known[path] = kind
        return bind(kind, self._tree.find(split(path), {}), path, lambda bad: self._tree.place(split(bad)), self._binders)

    def set(self, path: str, value: Any) -> None:
        """Change a value while running and tell ``on_change``.  It holds for this process and is written nowhere.

        An exception of a listener goes to the caller; the value stays changed.
        """
        keys = self._keys(path)[0]
        old = self._tree.find(keys, None)
        self._tree.put(keys, value, Source("run time"))
        change = ConfigChanged(".".join(keys), protect("", old), self.get(".".join(keys)))
        for tell in list(self.on_change):
            tell(change)

    def where(self, path: str) -> str:
        """The source that set the value: a file name, ``environment``, ``command line``, ``run time``, or ``default`` for none."""
        for keys in self._keys(path):
            if self._tree.find(keys, _MISSING) is not _MISSING and (source := self._tree.origin(keys)) is not None:
                return source.name
        return "default"

    def check(self, allowed: Collection[str] = ()) -> None:
        """Raise ConfigError for every table and key that nobody read so far; those ``allowed`` are read in another way."""
        problems: list[str] = []
        self._check(self._tree.data, (), frozenset(allowed) | (self._asked or set()), problems)
        self._asked = None
        if problems:
            raise ConfigError("\n".join(problems))

    def _check(self, table: Mapping[str, Any], path: Keys, allowed: frozenset[str], problems: list[str]) -> None:
        readable = allowed | self.known.keys() | {ENVIRONMENT}
        for key, value in table.items():
            here = ".".join((*path, key))
            if here in readable:
                continue
            if isinstance(value, dict) and any(known.startswith(f"{here}.") for known in readable):
                self._check(value, (*path, key), allowed, problems)
                continue
            what, form = ("section", "[{}]") if isinstance(value, dict) else ("key", "{}")
            near = did_you_mean(here, (".".join(split(known)[: len(path) + 1]) for known in readable), form)
            problems.append(f"{self._at(here)}unknown {what} {form.format(here)}{near}")

    def entries(self) -> Iterator[tuple[str, Any, str]]:
        """Every value as ``(path, what may be shown, place)``, for listings: secrets are masked."""
        yield from self._entries(self._tree.data, ())

    def _entries(self, node: Any, path: Keys) -> Iterator[tuple[str, Any, str]]:
        if isinstance(node, dict | list) and (node or not path):
            for key, value in node.items() if isinstance(node, dict) else enumerate(node):
                yield from self._entries(value, (*path, str(key)))
        else:
            yield ".".join(path), node.masked if isinstance(node, Secret) else node, self._tree.place(path)

    def place(self, path: str) -> str:
        """Where the value was set, for messages: ``conf/app.toml:12``, ``environment``, ...; ``""`` when nothing set it."""
        return self._tree.place(split(path))

    def _at(self, path: str) -> str:
        place = self.place(path)
        return f"{place}: " if place else ""

    def _keys(self, path: str) -> list[Keys]:
        """The places a path means, the first that has a value counts."""
        if not path.startswith("@"):
            return [split(path)]
        kind, _, rest = path.partition(".")
        if kind == "@app":
            return [split(rest)]
        if kind == "@server" and rest:
            return [split(f"servers.{rest}")]
        if kind == "@currentServer":
            server = self.current_server()
            own = [("servers", server, *split(rest))] if server is not None else []
            return [*own, split(rest)]
        raise ConfigError(f"{path!r} is not a path: it starts with @app, @server.<name> or @currentServer")


def load(
    files: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    argv: Sequence[str] = (),
    environment: str = "development",
    current_server: Callable[[], str | None] = lambda: None,
) -> Config:
    """Read everything, in order: ``files``, ``<environment>.toml`` beside the first, ``.env``, ``env``, ``--set`` of ``argv``.

    ``.env`` stands beside the first file, or above it when its folder is called ``conf``.  The key ``environment`` holds the name given.
    Raises ConfigError naming file and line.
    """
    paths = [Path(file) for file in files]
    variables: Mapping[str, str] = env
    dotenv: Path | None = None
    if paths:
        folder = paths[0].parent
        extra = folder / f"{environment}.toml"
        if extra not in paths and extra.is_file():
            paths.append(extra)
        found = (folder.parent if folder.absolute().name == "conf" else folder) / ".env"
        dotenv = found if found.is_file() else None
    said = sources.read_dotenv(dotenv) if dotenv else sources.Dotenv({}, ())
    config = Config(env={**said.variables, **variables}, current_server=current_server)
    tree = config._tree
    for path in paths:
        for table, source in sources.read_toml(path):
            tree.merge(table, source)
    for keys, value in (*said.values, *sources.from_variables(said.variables)):
        tree.put(keys, value, Source(str(dotenv)))
    for keys, value in sources.from_variables(env):
        tree.put(keys, value, Source("environment"))
    for keys, value in sources.from_argv(argv):
        tree.put(keys, value, Source("command line"))
    if tree.find((ENVIRONMENT,), None) is not None:
        raise ConfigError(
            f"{tree.place((ENVIRONMENT,))}: {ENVIRONMENT} chooses the files to read, so it cannot be set in the configuration"
        )
    tree.put((ENVIRONMENT,), environment, Source("environment"))
    tree.read_secrets()
    return config


def read_conf(path: str | Path | None = None, *, argv: Sequence[str] = (), env: Mapping[str, str] | None = None) -> Config:
    """The configuration of an application.  ``path`` defaults to ``GREENIMI_CONF``, then ``conf/app.toml``.  Raises ConfigError."""
    env = os.environ if env is None else env
    file = Path(path or env.get("GREENIMI_CONF", DEFAULT_CONF))
    if not file.is_file():
        raise ConfigError(f"there is no {file}", hint="name the file: greenimi serve conf/app.toml, or make a project: greenimi new NAME")
    return load([file], env=env, argv=argv, environment=env.get("GREENIMI_ENV", "development"))
