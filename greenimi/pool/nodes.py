"""The servers that a pool connects to, each with what is known of its health."""

from __future__ import annotations

import random
from dataclasses import fields, is_dataclass
from time import monotonic
from typing import Any

from greenimi.config.secret import MASK, Secret

_LONGEST_TEXT = 300
_MOST_DOUBLINGS = 30


class Node:
    """One server.  ``settings`` is what the driver needs to connect; ``weight`` its share of the resources, 0 for none.

    A node that failed is ejected: left alone for ``eject`` seconds, twice as long each time it fails again, up to ``eject_limit``, and less
    by up to a quarter at random, so that not all processes come back at the same moment.  Then one attempt decides.

    open      resources there are at this node, those being connected included
    problem   why it failed last, without passwords; "" while it works
    connects, failures   how many there were
    """

    __slots__ = (
        "_tries",
        "_trying",
        "_until",
        "connects",
        "eject",
        "eject_limit",
        "failures",
        "name",
        "open",
        "problem",
        "settings",
        "weight",
    )

    def __init__(self, name: str, weight: int = 1, settings: Any = None, *, eject: float = 1.0, eject_limit: float = 60.0) -> None:
        self.name = name
        self.weight = weight
        self.settings = settings
        self.eject = eject
        self.eject_limit = eject_limit
        self.open = 0
        self.problem = ""
        self.connects = 0
        self.failures = 0
        self._tries = 0  # failures in a row
        self._until = 0.0  # ejected until then; 0 while it works
        self._trying = False

    def __repr__(self) -> str:
        return f"<Node {self.name}{f', {self.problem}' if self.problem else ''}>"

    @property
    def ejected(self) -> float:
        """Seconds for which it is left alone yet; 0 when it may be tried."""
        return max(0.0, self._until - monotonic())

    @property
    def available(self) -> bool:
        """It works, or is due for the one attempt that decides."""
        return not self._until or (not self._trying and monotonic() >= self._until)

    def tried(self) -> None:
        """Somebody is about to connect: to one that failed nobody else does meanwhile.  ``worked``, ``failed`` or ``untried`` follows."""
        self._trying = True

    def untried(self) -> None:
        """The attempt was given up and decided nothing."""
        self._trying = False

    def worked(self) -> None:
        """It does what it should: not ejected any more, unless it was set aside."""
        self._trying = False
        if self._tries or monotonic() >= self._until:
            self._tries = 0
            self._until = 0.0
            self.problem = ""

    def failed(self, error: BaseException | str) -> None:
        """It does not.  Further failures while it is ejected anyway make that no longer."""
        text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        self.problem = " ".join(_without_secrets(text, self.settings).split())[:_LONGEST_TEXT]
        self.failures += 1
        now = monotonic()
        if self._until <= now:
            seconds = min(self.eject * 2.0 ** min(self._tries, _MOST_DOUBLINGS), self.eject_limit)
            self._tries += 1
            self._until = now + seconds * random.uniform(0.75, 1.0)  # noqa: S311 - no secret
        self._trying = False

    def set_aside(self, seconds: float, why: str) -> None:
        """Leave it alone for so long for another reason than a failure: a replica that lags behind, a primary that is read-only."""
        self.problem = why
        self._until = max(self._until, monotonic() + seconds)
        self._trying = False

    def taken_back(self) -> None:
        """What it was set aside for is over."""
        self._tries = 0
        self._until = 0.0
        self.problem = ""

    def numbers(self) -> dict[str, float]:
        """For the metrics."""
        return {"open": self.open, "ejected": self.ejected > 0, "connects_total": self.connects, "failures_total": self.failures}


def _without_secrets(text: str, settings: Any) -> str:
    for secret in _secrets(settings):
        if secret:
            text = text.replace(secret, MASK)
    return text


def _secrets(settings: Any) -> list[str]:
    """Passwords anywhere in a dataclass, a table or a list."""
    if isinstance(settings, Secret):
        return [str(settings)]
    if is_dataclass(settings):
        return [found for field in fields(settings) for found in _secrets(getattr(settings, field.name))]
    if isinstance(settings, dict):
        return [found for value in settings.values() for found in _secrets(value)]
    if isinstance(settings, list | tuple):
        return [found for value in settings for found in _secrets(value)]
    return []
