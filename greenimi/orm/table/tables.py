"""Where shared rows, counters and channels of an application are: a service, which opens files when they are first used."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from greenimi.container.registry import current_container
from greenimi.container.service import Tier
from greenimi.interfaces import IRowTable
from greenimi.orm.table.channels import ChannelFile
from greenimi.orm.table.settings import TableSettings, folder_of


class Tables:
    """``make_rows`` is called with the settings, and in them the folder, when a row is first used in this process."""

    tier = Tier.RESOURCES

    def __init__(self, settings: TableSettings, make_rows: Callable[[TableSettings], IRowTable]) -> None:
        self.settings = settings
        self._make_rows = make_rows
        self._rows: IRowTable | None = None
        self._channels: ChannelFile | None = None
        self._process = 0
        self._own: TemporaryDirectory[str] | None = None

    @property
    def rows(self) -> IRowTable:
        self._check_process()
        if self._rows is None:
            self._rows = self._make_rows(replace(self.settings, folder=str(self._folder())))
        return self._rows

    @property
    def channels(self) -> ChannelFile:
        self._check_process()
        if self._channels is None:
            self._channels = ChannelFile(self._folder(), patience=self.settings.patience, size=self.settings.size)
        return self._channels

    def _check_process(self) -> None:
        if self._process != (process := os.getpid()):
            if self._rows is not None or self._channels is not None:
                raise RuntimeError("shared tables were used before this process was forked: use them first in the workers, after the start")
            self._process = process

    def _folder(self) -> Path:
        """Without one that processes share, one that only this process knows."""
        found = folder_of(self.settings)
        if found is not None:
            return found
        if self._own is None:
            self._own = TemporaryDirectory(prefix=f"greenimi-tables-{os.getpid()}-")
        return Path(self._own.name)

    def start(self) -> None:
        """Files are opened when they are first used."""

    def drain(self) -> None:
        """They are used until the end."""

    def stop(self) -> None:
        rows, self._rows = self._rows, None
        channels, self._channels = self._channels, None
        own, self._own = self._own, None
        if rows is not None:
            rows.close()
        if channels is not None:
            channels.close()
        if own is not None:
            own.cleanup()


def current_tables() -> Tables:
    """Those of the running application."""
    return current_container().get(Tables)
