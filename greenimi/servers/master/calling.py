"""The other end of a master's control socket: how commands and scripts talk to it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

_PATIENCE = 10.0
"""Seconds for a master to answer a question."""


def ask(
    path: Path, question: Mapping[str, Any], says: Callable[[str], object] = lambda text: None, patience: float = _PATIENCE
) -> Mapping[str, Any]:
    """Ask the master at ``path`` and give its last word; ``says`` hears what it says before.  ``patience``: seconds from word to word.

    Raises OSError when there is no master, or it does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(patience)
        sock.connect(str(path))
        sock.sendall(json.dumps(question).encode() + b"\n")
        with sock.makefile("rb") as lines:
            for line in lines:
                word: dict[str, Any] = json.loads(line)
                if "done" in word:
                    return word
                says(word["says"])
    raise ConnectionError("the master went away in the middle of its answer")


def masters(folder: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every running master with its status.  Sockets that masters left behind when they were killed are removed."""
    for path in sorted(folder.glob("*.sock")):
        try:
            answer = ask(path, {"do": "status"})
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            continue
        except OSError:
            continue
        yield path, answer["status"]
