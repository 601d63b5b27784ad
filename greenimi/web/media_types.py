"""Which content type a file has, by its name.

Python's own table, without what the system adds to it: the same on every machine.
"""

from __future__ import annotations

from functools import lru_cache
from mimetypes import MimeTypes
from posixpath import basename

UNKNOWN = "application/octet-stream"

_TABLE = MimeTypes(filenames=())
for _kind, _endings in {  # missing in Python's table, or outdated
    "application/manifest+json": (".webmanifest",),
    "application/wasm": (".wasm",),
    "application/yaml": (".yaml", ".yml"),
    "audio/flac": (".flac",),
    "font/otf": (".otf",),
    "font/ttf": (".ttf",),
    "font/woff": (".woff",),
    "font/woff2": (".woff2",),
    "image/avif": (".avif",),
    "image/webp": (".webp",),
    "text/javascript": (".js", ".mjs"),
    "text/markdown": (".md",),
    "video/x-matroska": (".mkv",),
}.items():
    for _ending in _endings:
        _TABLE.add_type(_kind, _ending)

_PACKED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_TEXTS = frozenset({"application/javascript", "application/xhtml+xml", "application/xml"})


@lru_cache(1024)
def content_type_of(name: str) -> str:
    """The content type of a file with this name, with a charset where it is text: UTF-8."""
    kind, packed = _TABLE.guess_type(f"/{basename(name)}")  # a name with a colon is no URL
    if packed is not None:
        return _PACKED.get(packed, UNKNOWN)
    return with_charset(kind) if kind is not None else UNKNOWN


def with_charset(kind: str) -> str:
    if ";" not in kind and (kind.startswith("text/") or kind in _TEXTS):
        return f"{kind}; charset=utf-8"
    return kind
