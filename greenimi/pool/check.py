"""Whether pools can connect, asked when an application starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from greenimi.errors import StartError
from greenimi.pool.pool import Pool


def check_pools(pools: Sequence[Pool[Any]]) -> None:
    """Take something from each pool and give it back.  StartError names those that cannot connect, each with its nodes and their errors.

    A pool of several nodes is well when one of them is.
    """
    problems = [problem for pool in pools if (problem := _problem(pool))]
    if problems:
        raise StartError("\n".join(problems), hint="is everything running that the application needs?")


def _problem(pool: Pool[Any]) -> str:
    seconds = pool.settings.connect_time * max(1, len(pool.nodes)) + pool.settings.wait
    try:
        with pool.use(seconds):
            return ""
    except Exception as error:
        found = [f"node {node.name}: {node.problem}" for node in pool.nodes if node.problem]
        return f"the pool {pool.name} cannot connect: {'; '.join(found) or f'{type(error).__name__}: {error}'}"
