"""Servers of databases for programs: each runs on another CPU than the program that uses it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from greenimi.testing import services


@contextmanager
def beside(kind: str) -> Iterator[Any]:
    """A service of this kind, started on the CPUs that the program does not run on, and removed at the end."""
    own = os.sched_getaffinity(0)
    others = set(range(os.cpu_count() or 1)) - own
    service = services.make(kind)
    try:
        os.sched_setaffinity(0, others or own)  # which its threads inherit
        try:
            service.start()
        finally:
            os.sched_setaffinity(0, own)
        yield service
    finally:
        service.remove()
