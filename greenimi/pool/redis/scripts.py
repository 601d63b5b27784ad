"""Lua scripts: sent by their digest, and whole only where the server does not know them."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha1
from typing import Any

from redis.client import Pipeline
from redis.cluster import ClusterPipeline
from redis.exceptions import NoScriptError

__all__ = ["Script"]


class Script:
    """A script, ready to run: ``add = client.register_script("return ..."); add(keys=["a"], args=[1])``.

    It is a constant: one that is made without a client runs on any, ``add(["a"], [1], client)``.  What it does happens once: it is sent
    again only after the server has said that it does not know it (after ``SCRIPT FLUSH``, a restart, a fail-over, on another node).

    In a pipeline the first call of each script is sent whole and the others by digest, which a server that just got it knows; in a pipeline
    of a cluster each is sent whole.  The result is then among the pipeline's.
    """

    __slots__ = ("registered_client", "script", "sha")

    def __init__(self, script: str | bytes, client: Any = None) -> None:
        self.script = script
        self.sha = sha1(script.encode() if isinstance(script, str) else script, usedforsecurity=False).hexdigest()
        self.registered_client = client

    def __call__(self, keys: Iterable[Any] | None = None, args: Iterable[Any] | None = None, client: Any = None) -> Any:
        """What the script returns.  All ``keys`` must be on one node of a cluster: see ``client.tag``."""
        if client is None:
            client = self.registered_client
        if client is None:
            raise TypeError("this script was made without a client: name the one to run it on")
        names = tuple(keys or ())
        arguments = (len(names), *names, *(args or ()))
        if isinstance(client, ClusterPipeline):
            return client.execute_command("EVAL", self.script, *arguments)
        if isinstance(client, Pipeline) and (client.explicit_transaction or not client.watching):
            whole = self._first_in(client)
            return client.execute_command(*(("EVAL", self.script) if whole else ("EVALSHA", self.sha)), *arguments)
        try:
            return client.execute_command("EVALSHA", self.sha, *arguments)
        except NoScriptError:
            return client.execute_command("EVAL", self.script, *arguments)

    def _first_in(self, pipeline: Any) -> bool:
        """Whether it is not among the commands that this pipeline has collected; those are another list after each execute."""
        known: set[str]
        collected, known = getattr(pipeline, "known_scripts", (None, set()))
        if collected is not pipeline.command_stack:
            known = set()
            pipeline.known_scripts = (pipeline.command_stack, known)
        if self.sha in known:
            return False
        known.add(self.sha)
        return True
