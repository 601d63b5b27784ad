"""Redirects that lead where the application means, and nowhere else."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import quote, urlsplit

from greenimi.errors import BadMessage
from greenimi.message import Request, Response

STATUSES = frozenset({301, 302, 303, 307, 308})
_KEPT = "!#$%&'()*+,/:;=?@[]~"  # what a URI may hold as it is, besides letters, digits and -._


def redirect(
    to: str, status: int = 303, *, request: Request | None = None, hosts: Collection[str] = (), headers: Iterable[tuple[str, str]] = ()
) -> Response:
    """An answer that sends the client to ``to``.

    ``status``  303: ask there with GET; 307: the same request there, 308 for good; 302 and 301 are read in both ways, 301 for good
    ``to``      a path (``/orders?page=2``), or a relative one; a whole URL (http, https) only of the ``hosts`` that are named, with their
                ports where they have one, and of the host that ``request`` came to

    Raises BadMessage (400) for every other target, so that a client may propose one: what a browser would take for another host, other
    schemes, control characters.
    """
    if status not in STATUSES:
        raise ValueError(f"{status} is no redirect; take one of {', '.join(map(str, sorted(STATUSES)))}")
    allowed = {host.lower() for host in hosts}
    if request is not None:
        allowed.add(request.host.lower())
    return Response(b"", status, "", [("Location", _checked(to, allowed)), *headers])


def _checked(to: str, allowed: Collection[str]) -> str:
    if not to or "\\" in to or not to.isprintable() or to != to.strip():  # browsers read \ as /, and skip tabs and line ends
        raise _refused(to)
    try:
        parts = urlsplit(to)
    except ValueError:
        raise _refused(to) from None
    if parts.scheme or parts.netloc or to.startswith("//"):
        whole = parts.scheme.lower() in ("http", "https") and parts.netloc
        if not whole or parts.netloc.lower() not in allowed:
            raise _refused(to)
    return quote(to, safe=_KEPT)


def _refused(to: str) -> BadMessage:
    return BadMessage(f"no redirect leads to {to[:100]!r}", hint="name other hosts: redirect(url, hosts=[...])")
