"""``greenimi`` and ``python -m greenimi``: the standard library is patched first, then the command line runs."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    # Run by its path: so does Gunicorn when it starts itself anew (USR2), and so does `serve --reload`.  Python then looks for modules in
    # this folder, where our `log` or `config` would hide those of others; look beside it instead.
    _here = Path(__file__).resolve().parent
    sys.path[:] = [str(_here.parent), *(entry for entry in sys.path if entry != str(_here))]


_MODEST = ("reload", "status", "drain")
"""Commands about a service on this machine: they must not take the processors from it, and their imports are most of their work.

They run nothing of an application, so the standard library stays as it is.
"""


def main() -> int:
    """The console script ``greenimi``.  The exit status: 0 well, 1 something failed, 2 it was called in a wrong way."""
    if sys.argv[1:2] and sys.argv[1] in _MODEST:
        from greenimi.servers.master.priority import make_way

        make_way()
    else:
        from greenimi import green

        green.patch()  # before anything else is imported
    from greenimi import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
