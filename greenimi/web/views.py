"""Views: what the value of a handler becomes, by ``@view`` or by what the client accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from greenimi.errors import ConfigError, Refusal, StartError
from greenimi.marks import Mark, Where
from greenimi.message import Request, Response
from greenimi.web.accept import best_type
from greenimi.web.rendering import json_renderer, to_msgpack, to_text, to_xml
from greenimi.web.sse import EVENT_STREAM, EventStream
from greenimi.web.templates import Templates, variables

NEGOTIABLE = ("json", "xml", "text", "msgpack")
"""Kinds that need nothing but the value."""

KINDS = (*NEGOTIABLE, "html", "events")

_TYPES: dict[str, tuple[str, ...]] = {
    "json": ("application/json",),
    "xml": ("application/xml", "text/xml"),
    "text": ("text/plain",),
    "msgpack": ("application/vnd.msgpack", "application/msgpack", "application/x-msgpack"),
    "html": ("text/html", "application/xhtml+xml"),
    "events": (EVENT_STREAM,),
}
"""The media types that ask for a kind; the first is what its answers say."""

_CONTENT_TYPES = {kind: types[0] for kind, types in _TYPES.items()} | {
    "xml": "application/xml; charset=utf-8",
    "text": "text/plain; charset=utf-8",
    "html": "text/html; charset=utf-8",
}

Show = Callable[[Any], Response]


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """What a ``@view`` says besides its kinds."""

    template: str = ""
    indent: int = 0
    sort: bool = False
    root: str = "response"
    where: Where | None = None  # the place to blame for a template that is not there


class NotAcceptable(Refusal):
    """The client accepts none of the types that there are."""

    status = 406


class ViewLayer:
    """Shows what a handler returned as one of ``kinds``: as the client likes best, among equals the first.

    Left as they are: a Response, and None (204).  Bytes are taken for the rendered thing, an iterator for its parts.  Raises Refusal
    (406) when the client takes none of the kinds; the handler is not called then.
    """

    def __init__(self, kinds: Sequence[str], options: ViewOptions, templates: Templates | None = None) -> None:
        """Raises ConfigError for kinds that do not exist or lack what they need."""
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown or not kinds:
            raise ConfigError(f"there is no view {unknown[0]!r}" if unknown else "a view needs a kind", hint=f"one of {', '.join(KINDS)}")
        if options.template and templates is None:
            raise ConfigError(f"the template {options.template} needs a folder", hint="name it in [servers.NAME.templates]: folders")
        self._by_type = {name: _show(kind, options, templates) for kind in kinds for name in _TYPES[kind]}
        self._types = tuple(self._by_type)
        self._negotiates = len(kinds) > 1

    def __call__(self, request: Request, proceed: Callable[[Request], Any]) -> Any:
        if not self._negotiates:
            value = proceed(request)
            return value if value is None or isinstance(value, Response) else self._first(value)
        wanted = best_type(request.headers.get("accept", ""), self._types)
        if wanted is None:
            raise NotAcceptable("none of the types that the client accepts is there", headers=_VARY, details={"types": self._types})
        value = proceed(request)
        if value is None or isinstance(value, Response):
            return value
        response = self._by_type[wanted](value)
        response.headers += _VARY
        return response

    def _first(self, value: Any) -> Response:
        return self._by_type[self._types[0]](value)


_VARY = (("Vary", "Accept"),)


class DefaultViewLayer(ViewLayer):
    """The same for all handlers of a server that say nothing themselves; texts, bytes and iterators are left alone, too.

    Mounted applications and files give Responses, so a client that accepts none of the kinds may still have those.
    """

    def __init__(self, kinds: Sequence[str], root: str) -> None:
        wrong = [kind for kind in kinds if kind not in NEGOTIABLE]
        if wrong:
            raise ConfigError(f"views.kinds: {wrong[0]!r} is none that every value has", hint=f"take {', '.join(NEGOTIABLE)}")
        super().__init__(kinds, ViewOptions(root=root))

    def __call__(self, request: Request, proceed: Callable[[Request], Any]) -> Any:
        value = proceed(request)
        if value is None or isinstance(value, Response | str | bytes | Iterator):
            return value
        try:
            return super().__call__(request, lambda _: value)
        except NotAcceptable:
            if request.method in ("GET", "HEAD"):
                raise
            return self._first(value)  # what was done is done: the client learns of it, in whatever form (RFC 9110 section 12.1)


def _show(kind: str, options: ViewOptions, templates: Templates | None) -> Show:
    if kind == "events":
        return EventStream
    return partial(_rendered, _renderer(kind, options, templates), _CONTENT_TYPES[kind])


def _rendered(renderer: Callable[[Any], bytes | str], content_type: str, value: Any) -> Response:
    body = value if isinstance(value, bytes | Iterator) else renderer(value)
    return Response(body, 200, content_type)


def _renderer(kind: str, options: ViewOptions, templates: Templates | None) -> Callable[[Any], bytes | str]:
    if kind == "json":
        return json_renderer(indent=options.indent, sort=options.sort)
    if kind == "xml":
        return partial(to_xml, root=options.root)
    if kind == "msgpack":
        return to_msgpack
    if kind == "text":
        return to_text
    if options.template:
        assert templates is not None
        templates.expect(options.template, options.where)
        return lambda value: templates.render(options.template, variables(value))
    return _as_html


def _as_html(value: Any) -> str:
    """Text that is HTML already."""
    if not isinstance(value, str):
        raise TypeError(f"a {type(value).__name__} is no HTML: name a template, or return text")
    return value


def media_type_of(kind: str) -> str:
    """What the answers of a kind are, without parameters."""
    return _TYPES[kind][0]


def view_layer(mark: Mark, templates: Templates | None) -> ViewLayer:
    """The layer of a ``@view`` on a server with these templates.  Raises StartError naming the place of the mark."""
    options = dict(mark.options)
    try:
        return ViewLayer(options.pop("kinds"), ViewOptions(**options, where=mark.where), templates)
    except ConfigError as error:
        raise StartError(f"{mark.where}: {error.text}", hint=error.hint) from None
