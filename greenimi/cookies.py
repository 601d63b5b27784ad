"""Cookies on the wire (RFC 6265, and 6265bis where browsers follow it): read leniently, written strictly."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TypedDict

_is_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_is_value = re.compile(r"[\x21\x23-\x2B\x2D-\x3A\x3C-\x5B\x5D-\x7E]*").fullmatch
_is_path = re.compile(r"/[\x20-\x3A\x3C-\x7E]*").fullmatch
_is_domain = re.compile(r"[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*").fullmatch
_LONGEST_PAIR = 4096
_LONGEST_ATTRIBUTE = 1024
_SAME_SITE = {"strict": "Strict", "lax": "Lax", "none": "None"}
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class CookieAttributes(TypedDict, total=False):
    """What may be said of a cookie; see :func:`render_cookie`."""

    max_age: float | None
    expires: datetime | None
    domain: str
    path: str
    secure: bool
    http_only: bool
    same_site: str
    partitioned: bool


def parse_cookies(field: str) -> dict[str, str]:
    """A Cookie field.  What is no ``name=value`` is left out; of several of one name the first counts, which has the longest path."""
    cookies: dict[str, str] = {}
    for pair in field.split(";"):
        name, found, value = pair.partition("=")
        name = name.strip(" \t")
        if found and name:
            value = value.strip(" \t")
            cookies.setdefault(name, value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value)
    return cookies


def render_cookie(
    name: str,
    value: str,
    *,
    max_age: float | None = None,
    expires: datetime | None = None,
    domain: str = "",
    path: str = "/",
    secure: bool = True,
    http_only: bool = True,
    same_site: str = "lax",
    partitioned: bool = False,
) -> str:
    """A Set-Cookie field.

    Without ``max_age`` (seconds) and ``expires`` (a time with its zone) the cookie goes when the browser does.  ``same_site`` is strict,
    lax or none.  Raises ValueError for what a browser would refuse or read in another way: characters that a name or value cannot have
    (nothing is escaped here), more than 4096 bytes, SameSite=None or Partitioned without Secure, and a name that begins with
    ``__Secure-`` or ``__Host-`` without what these promise.
    """
    if not _is_name(name):
        raise ValueError(f"{name!r} cannot be the name of a cookie")
    if not _is_value(value):
        raise ValueError(
            f"the value of the cookie {name} has characters that cookies cannot have: quote it, for example with urllib.parse.quote"
        )
    if len(name) + len(value) > _LONGEST_PAIR:
        raise ValueError(f"the cookie {name} is over {_LONGEST_PAIR} bytes")
    _check_promises(name, domain, path, secure)
    if same_site not in _SAME_SITE:
        raise ValueError(f"same_site of a cookie is strict, lax or none, not {same_site!r}")
    if (same_site == "none" or partitioned) and not secure:
        raise ValueError(f"browsers refuse the cookie {name}: SameSite=None and Partitioned need Secure")
    parts = [f"{name}={value}"]
    if max_age is not None:
        parts.append(f"Max-Age={max(0, int(max_age))}")
    if expires is not None:
        if expires.tzinfo is None:
            raise ValueError("expires of a cookie needs a time zone")
        parts.append(f"Expires={format_datetime(expires.astimezone(UTC), usegmt=True)}")
    if domain:
        parts.append(f"Domain={_checked(domain, _is_domain(domain), 'domain')}")
    parts.append(f"Path={_checked(path, _is_path(path), 'path')}")
    flags = ("Secure", secure), ("HttpOnly", http_only), (f"SameSite={_SAME_SITE[same_site]}", True), ("Partitioned", partitioned)
    return "; ".join(parts + [flag for flag, wanted in flags if wanted])


def render_deletion(name: str, *, domain: str = "", path: str = "/", secure: bool = True) -> str:
    """A Set-Cookie field after which a browser has the cookie no more; domain and path must be those it was set with."""
    return render_cookie(name, "", max_age=0, expires=_LONG_AGO, domain=domain, path=path, secure=secure)


def _checked(text: str, valid: object, what: str) -> str:
    if not valid or len(text) > _LONGEST_ATTRIBUTE:
        raise ValueError(f"{text!r} cannot be the {what} of a cookie")
    return text


def _check_promises(name: str, domain: str, path: str, secure: bool) -> None:
    """Browsers compare the prefixes in any case."""
    lowered = name.lower()
    if lowered.startswith(("__secure-", "__host-")) and not secure:
        raise ValueError(f"the cookie {name} must be secure")
    if lowered.startswith("__host-") and (domain or path != "/"):
        raise ValueError(f"the cookie {name} must have no domain, and the path /")
