"""How a script finds the workers of the service it belongs to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from greenimi.errors import StartError
from greenimi.hub.run_folder import VARIABLE
from greenimi.interfaces import IConfig
from greenimi.servers.master.calling import masters
from greenimi.servers.master.control import control_folder
from greenimi.servers.settings import WorkerSettings


@contextmanager
def meeting(conf: Path | None, config: IConfig) -> Iterator[None]:
    """Have a Hub that starts in the block meet the workers of the service of this conf, when a master of this user serves it."""
    known = VARIABLE in os.environ or config.get("hub.folder", "") or conf is None
    folder = "" if known else _folder_of_service(str(conf), config.settings("workers", WorkerSettings).control)
    if not folder:
        yield
        return
    os.environ[VARIABLE] = folder
    try:
        yield
    finally:
        del os.environ[VARIABLE]


def _folder_of_service(conf: str, control: str) -> str:
    """Where its workers meet; "" when there are none."""
    try:
        for _, status in masters(control_folder(control)):
            if status["master"]["conf"] == conf:
                return str(status["master"]["folder"])
    except (OSError, StartError):
        pass  # a script does without them
    return ""
