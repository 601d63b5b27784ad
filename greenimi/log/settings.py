"""The keys of ``[log]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["debug", "info", "warning", "error", "critical"]
Format = Literal["console", "json"]


@dataclass(frozen=True)
class HandlerSettings:
    """One place where records go."""

    kind: str = field(default="stderr", metadata={"doc": "stderr, file, or the dotted name of a logging.Handler: package.module:Class."})
    level: Level = field(default="debug", metadata={"doc": "Records below this level are left to other handlers."})
    channels: tuple[str, ...] = field(default=(), metadata={"doc": "Only these channels and those below them; empty for all."})
    format: Format | None = field(default=None, metadata={"doc": "console or json; unset takes that of [log]."})
    path: str = field(default="", metadata={"doc": "The file of a file handler."})
    max_bytes: int = field(default=64 << 20, metadata={"doc": "A file of this size is put aside and a new one begun; 0 for never."})
    keep: int = field(default=5, metadata={"doc": "How many full files are kept: app.log.1 is the newest."})
    options: Mapping[str, Any] = field(default_factory=dict, metadata={"doc": "Keyword arguments of a handler given by its dotted name."})

    def __post_init__(self) -> None:
        if self.kind == "file" and not self.path:
            raise ValueError("a file handler needs a path")
        if self.kind not in ("stderr", "file") and ":" not in self.kind:
            raise ValueError(f"kind {self.kind!r} is neither stderr nor file nor package.module:Class")
        if self.max_bytes < 0 or self.keep < 0:
            raise ValueError("max_bytes and keep cannot be negative")


@dataclass(frozen=True)
class LogSettings:
    """What is logged, how it looks and where it goes."""

    level: Level = field(
        default="info", metadata={"doc": "Records below this level are dropped, in every channel that has no level of its own."}
    )
    levels: Mapping[str, Level] = field(default_factory=dict, metadata={"doc": 'Levels by channel: "shop.orders" = "debug".'})
    format: Format = field(default="console", metadata={"doc": "console for people, json for machines: one object a line."})
    handlers: tuple[HandlerSettings, ...] = field(default=(HandlerSettings(),), metadata={"doc": "Where records go."})
    background: bool = field(default=True, metadata={"doc": "Write from a thread of its own, so that no greenlet waits for a disk."})
    capacity: int = field(
        default=10_000, metadata={"doc": "How many lines may wait to be written, of debug and info, and as many of warning and above."}
    )

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError("capacity must be at least 1")
