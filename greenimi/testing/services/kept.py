"""Services that outlive the process that started them, and the notes by which a later one finds them again."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from greenimi.testing import services
from greenimi.testing.services.processes import ProcessId
from greenimi.testing.services.service import AnyService, Conf

_ENDS = 20.0
"""Seconds that a process may take to end before it is killed; its data are thrown away in any case."""


@dataclass(frozen=True)
class Kept:
    """A service that was started for longer.

    kind       what it is, one of :data:`greenimi.testing.services.KINDS`; there is one of each.
    processes  in the order in which they were started.
    """

    kind: str
    urls: list[str]
    conf: Conf | None
    folders: list[str]
    processes: list[ProcessId]

    @classmethod
    def start(cls, kind: str, notes: Path) -> Self:
        """Start one and note it in the folder ``notes``.  ServiceFailed, and nothing is left, when it does not serve."""
        service: AnyService = services.make(kind, attached=False)
        try:
            service.start()
            kept = cls(
                kind,
                service.urls,
                service.conf,
                [str(folder) for folder in service.folders],
                [process.id for process in service.processes],
            )
            notes.mkdir(parents=True, exist_ok=True)
            note = _note(notes, kind)
            note.touch(0o600)  # there are passwords in it
            note.write_text(json.dumps(asdict(kept)))
        except BaseException:
            service.remove()
            raise
        for process in service.processes:
            process.let_go()
        return kept

    @classmethod
    def find(cls, kind: str, notes: Path) -> Self | None:
        """None when none was started, or it was ended."""
        try:
            found = json.loads(_note(notes, kind).read_text())
        except FileNotFoundError:
            return None
        return cls(
            found["kind"],
            found["urls"],
            found["conf"] and Conf(*found["conf"]),
            found["folders"],
            [ProcessId(**process) for process in found["processes"]],
        )

    @property
    def runs(self) -> bool:
        """All of its processes do."""
        return all(process.alive for process in self.processes)

    def end(self, notes: Path) -> None:
        """End its processes, exactly these, remove its folders and the note."""
        for process in reversed(self.processes):
            process.end(signal.SIGTERM, _ENDS)
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)
        _note(notes, self.kind).unlink(missing_ok=True)


def conf_of(kept: Iterable[Kept]) -> str:
    """TOML for conf: of each table the first service is the one without a name, ``default``, others are called what they are."""
    lines: list[str] = []
    tables: set[str] = set()
    for service in kept:
        if service.conf is None:
            continue
        table, keys = service.conf
        lines.append(f"[{table}.{'default' if table not in tables else service.kind}]")
        tables.add(table)
        lines += [*(f"{key} = {json.dumps(value)}" for key, value in keys.items()), ""]
    return "\n".join(lines[:-1])


def _note(notes: Path, kind: str) -> Path:
    return notes / f"{kind}.json"
