"""The command line: ``greenimi COMMAND``.  Each command of ours is a module here; an application brings its own with ``@command``.

A command's module has ``EXAMPLES``, ``arguments(parser)`` and ``run(options) -> exit status``.  It is imported when the command is used.
"""

from __future__ import annotations

from greenimi.cli.main import main

__all__ = ["main"]
