from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from greenimi.log import LogSettings, configure, setup, stop


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    level, flags = root.level, (logging.logThreads, logging.logMultiprocessing)
    yield
    configure(LogSettings(handlers=(), background=False))
    stop()
    setup._installed.remove()
    root.setLevel(level)
    logging.logThreads, logging.logMultiprocessing = flags
