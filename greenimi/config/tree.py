"""The tree of values, and which source set each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenimi.config.secret import Secret, may_be_file, protect
from greenimi.errors import ConfigError

Keys = tuple[str, ...]
MOST_SECRET_BYTES = 1 << 20
_MISSING: Any = object()
_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


@dataclass(frozen=True, slots=True)
class Source:
    """Where values came from.  A TOML file keeps its text, so that a key's line can be named; ``at`` is where its tables were put."""

    name: str
    toml: str = ""
    at: Keys = ()

    def place(self, path: Keys) -> str:
        """The name, with the line of ``path`` (or of the nearest key around it) where there is one."""
        line = _line_of(self.toml, path[len(self.at) :]) if self.toml else 0
        return f"{self.name}:{line}" if line else self.name


def split(path: str) -> Keys:
    """``"a.b.0"`` as keys; ``""`` is the whole tree."""
    return tuple(path.split(".")) if path else ()


class Tree:
    """Nested tables; a later ``merge`` or ``put`` wins.  Tables merge key by key, everything else is replaced whole."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self._origins: dict[Keys, Source] = {}

    def merge(self, table: Mapping[str, Any], source: Source) -> None:
        """Lay ``table`` over what is here, at ``source.at``."""
        into = self.data
        for depth, key in enumerate(source.at):
            self._origins[source.at[: depth + 1]] = source
            if not isinstance(into.get(key), dict):
                into[key] = {}
            into = into[key]
        self._merge(into, table, source.at, source)

    def _merge(self, into: dict[str, Any], table: Mapping[str, Any], path: Keys, source: Source) -> None:
        for key, value in table.items():
            here = (*path, key)
            self._origins[here] = source
            if isinstance(value, Mapping):
                if not isinstance(into.get(key), dict):
                    into[key] = {}
                self._merge(into[key], value, here, source)
            else:
                into[key] = protect(key, value)

    def put(self, path: Keys, value: Any, source: Source) -> None:
        """Set one value.  A number steps into a list, made when there is none, and may add the next item; keys match in any case."""
        if not all(path) or not path:
            raise ConfigError(f"{source.name}: {'.'.join(path)!r} is not a path")
        node: Any = self.data
        done: list[str] = []
        name = ""
        for part, following in zip(path, (*path[1:], ""), strict=True):
            key: Any = self._key(node, part, done, source)
            done.append(str(key))
            name = name if isinstance(key, int) else key
            self._origins[tuple(done)] = source
            if len(done) == len(path):
                node[key] = protect(name, value)
                return
            child = node[key] if isinstance(node, list) else node.get(key)
            if not isinstance(child, dict | list):
                child = node[key] = [] if _is_index(following) else {}
            node = child

    def _key(self, node: Any, part: str, done: list[str], source: Source) -> str | int:
        """``part`` as the key it means in ``node``; the place of a new item is made."""
        if isinstance(node, list):
            if not _is_index(part) or int(part) > len(node):
                raise ConfigError(f"{source.name}: {part!r} in {'.'.join((*done, part))} is not an item: the list has {len(node)}")
            if int(part) == len(node):
                node.append(None)
            return int(part)
        if part in node:
            return part
        return next((key for key in node if key.lower() == part.lower()), part)

    def find(self, path: Keys, default: Any = _MISSING) -> Any:
        """The value itself, not a copy.  LookupError when absent and there is no default."""
        node: Any = self.data
        for part in path:
            if isinstance(node, dict) and part in node:
                node = node[part]
            elif isinstance(node, list) and _is_index(part) and int(part) < len(node):
                node = node[int(part)]
            elif default is _MISSING:
                raise LookupError(".".join(path))
            else:
                return default
        return node

    def origin(self, path: Keys) -> Source | None:
        """The source that set ``path``, or the table or list it stands in."""
        for length in range(len(path), 0, -1):
            if (found := self._origins.get(path[:length])) is not None:
                return found
        return None

    def place(self, path: Keys) -> str:
        """``conf/app.toml:12``, ``environment``, ...; ``""`` when nothing set it."""
        source = self.origin(path)
        return source.place(path) if source is not None else ""

    def read_secrets(self) -> None:
        """Replace every ``password = { file = "/run/secrets/db" }`` by what the file says, without its last newline."""
        self._read_secrets(self.data, ())

    def _read_secrets(self, node: Any, path: Keys) -> None:
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            here = (*path, str(key))
            if isinstance(value, dict) and len(value) == 1 and isinstance(value.get("file"), str) and may_be_file(here[-1]):
                node[key] = self._secret(value["file"], here)
            elif isinstance(value, dict | list):
                self._read_secrets(value, here)

    def _secret(self, file: str, path: Keys) -> Secret:
        problem = f"{self.place(path)}: {'.'.join(path)}: cannot read the secret file {file}"
        try:
            with Path(file).open("rb") as stream:
                data = stream.read(MOST_SECRET_BYTES + 1)
            if len(data) > MOST_SECRET_BYTES:
                raise ConfigError(f"{problem}: it is over {MOST_SECRET_BYTES} bytes")
            text = data.decode()
        except (OSError, ValueError) as error:
            raise ConfigError(f"{problem}: {getattr(error, 'strerror', None) or error}") from None
        return Secret(text.removesuffix("\n").removesuffix("\r"))


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) < 10


def _line_of(text: str, path: Keys) -> int:
    """The line that sets ``path``, or the nearest table or key around it; 0 when there is none.  A scan of lines, not a parser."""
    best = (0, 0)  # how many keys fit, line
    inside = 0  # the first line of something within the path, which may have no line of its own: [server.till] for server
    table: Keys = ()
    items: dict[Keys, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _parts(header[2])
            if header[1] == "[[":
                items[table] = items.get(table, -1) + 1
            for length in range(len(table), 0, -1):  # a table below [[x]] belongs to the last x
                if table[:length] in items:
                    table = (*table[:length], str(items[table[:length]]), *table[length:])
                    break
            found = table
        elif key := _KEY.match(line):
            found = (*table, *_parts(key[1]))
        else:
            continue
        if len(found) > best[0] and found == path[: len(found)]:
            best = (len(found), number)
        elif not inside and found[: len(path)] == path:
            inside = number
    return best[1] or inside


def _parts(dotted: str) -> Keys:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))
