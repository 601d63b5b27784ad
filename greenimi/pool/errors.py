"""What goes wrong with pools.  The errors of connecting itself are those of the driver."""

from __future__ import annotations

from greenimi.errors import GreenimiError


class PoolError(GreenimiError):
    """A pool cannot do what it was asked for."""


class PoolTimeout(PoolError, TimeoutError):
    """No resource was free in time; the text names the limit and who holds them longest."""

    status = 503


class ConnectTimeout(PoolError, TimeoutError):
    """A server did not let anybody in within ``connect_time`` seconds."""

    status = 503


class PoolClosed(PoolError):
    """The pool is stopped."""

    status = 503


class LeaseError(PoolError):
    """A resource was used or given back by somebody who does not have it any more; the text names the line that gave it back."""


class NoNode(PoolError):
    """The pool has no server to connect to."""

    status = 503
