"""Templates, rendered by Jinja2: the extra ``templates``.  Each server has its own environment.

A template sees what it is given and, unless that has the same names, what the request brings:

request  the Request itself
get      parameters of the query, the last of each name
post     fields of a form in the body
cookies  the cookies that came
session  the session, where the server has sessions
server   ``name``, ``method``, ``path``, ``query``, ``host``, ``scheme`` and ``client``
csrf_token()  the token that a form of the page sends back, see :mod:`greenimi.web.csrf`
url_for()  the address of a route by its name, see :mod:`greenimi.web.urls`

None of it outlives the rendering: what a template sets is gone with it, also in what it imports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from greenimi.container.context import current, scope
from greenimi.errors import ConfigError, GreenimiError, MissingExtra, StartError
from greenimi.marks import Where
from greenimi.message import Request, Response
from greenimi.web.request import payload_of
from greenimi.web.settings import TemplateSettings
from greenimi.web.urls import url_for

if TYPE_CHECKING:
    from jinja2 import Environment, Template

T = TypeVar("T")

_PLAIN = ("txt", "text", "csv")
"""Endings of templates whose values are not escaped, since no browser reads them as HTML."""

_ENDINGS = (".j2", ".jinja", ".jinja2")


@dataclass(frozen=True, slots=True)
class TemplatesCreated:
    """An event: the environment of a server was made; the place to add filters, tests and globals."""

    server: str
    environment: Environment


class MissingTemplate(StartError):
    """There is no template of that name; the text names the folders that were looked in.  Of a ``@view`` it is found at the start."""


class Templates:
    """The templates of a server.  A bean of its container: a controller that asks for it in its constructor gets that of its server."""

    def __init__(self, server: str, settings: TemplateSettings, *, debug: bool) -> None:
        self.server = server
        self._settings = settings
        self._debug = debug
        self._expected: list[tuple[str, Where | None]] = []
        self._environment: Environment | None = None

    def expect(self, name: str, where: Where | None = None) -> None:
        """Have :meth:`open` check that there is such a template.  ``where``: the place that names it, to be blamed."""
        self._expected.append((name, where))

    def open(self, emit: Callable[[Any], object]) -> None:
        """Make the environment, tell of it by a TemplatesCreated, and look for the templates that are expected.

        Raises MissingExtra, ConfigError, MissingTemplate.
        """
        self._environment = environment = _make(self._settings, debug=self._debug)
        emit(TemplatesCreated(self.server, environment))
        for name, where in self._expected:
            try:
                self._find(name, lambda template: None)
            except MissingTemplate as error:
                raise error if where is None else MissingTemplate(f"{where}: {error.text}") from None

    def render(self, name: str, values: Mapping[str, Any] | None = None) -> str:
        """The text that a template makes of ``values`` and of the request at hand.  Raises MissingTemplate."""
        found = current.get(None)
        message = found.message if found is not None else None
        data = self._request_data(message) if isinstance(message, Request) else {}
        return self._find(name, lambda template: template.render({**data, **(values or {})}))

    def page(self, name: str, values: Mapping[str, Any] | None = None, *, status: int = 200) -> Response:
        """The same as a response; its content type by the name of the template: ``hello.html``, ``hello.txt.j2``."""
        return Response(self.render(name, values), status, _content_type(name))

    def _find(self, name: str, use: Callable[[Template], T]) -> T:
        """``use(template)``, where there is one, and those that it includes."""
        if self._environment is None:
            raise GreenimiError(f"the templates of {self.server} are not open yet", hint="they are, once servers are made")
        import jinja2

        try:
            return use(self._environment.get_template(name))
        except jinja2.TemplateNotFound as error:
            folders = ", ".join(str(Path(folder).resolve()) for folder in self._settings.folders)
            raise MissingTemplate(f"there is no template {error.name} in {folders}") from error

    def _request_data(self, request: Request) -> dict[str, Any]:
        return {
            "request": request,
            "get": _Later(lambda: {name: values[-1] for name, values in request.query.items()}),
            "post": _Later(lambda: _form(request)),
            "cookies": _Later(lambda: request.cookies),
            "session": request.extra.get("session", _NOTHING),
            "server": _Later(lambda: self._facts(request)),
        }

    def _facts(self, request: Request) -> dict[str, str]:
        return {
            "name": self.server,
            "method": request.method,
            "path": request.path,
            "query": request.query_string,
            "host": request.host,
            "scheme": request.scheme,
            "client": request.client,
        }


def render_template(name: str, values: Mapping[str, Any] | None = None, *, status: int = 200) -> Response:
    """A page of the server that handles the message at hand: :meth:`Templates.page` for handlers that did not ask for Templates."""
    return scope().container.get(Templates).page(name, values, status=status)


def variables(value: Any) -> Mapping[str, Any]:
    """What a template sees of a handler's value: the entries of a mapping, the fields of an object; anything else as ``value``."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return {"value": value}


class _Later(Mapping[str, Any]):
    """A mapping that is made when it is first looked into."""

    def __init__(self, make: Callable[[], Mapping[str, Any]]) -> None:
        self._make = make
        self._found: Mapping[str, Any] | None = None

    def _values(self) -> Mapping[str, Any]:
        if self._found is None:
            self._found = self._make()
        return self._found

    def __getitem__(self, name: str) -> Any:
        return self._values()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())


_NOTHING: Mapping[str, Any] = {}
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def _form(request: Request) -> Mapping[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return payload_of(request) if kind in _FORMS else _NOTHING


def _content_type(name: str) -> str:
    from greenimi.web.media_types import UNKNOWN, content_type_of  # a table of a thousand: only where there are templates

    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    kind = content_type_of(name)
    return kind if kind != UNKNOWN else "text/html; charset=utf-8"


def _make(settings: TemplateSettings, *, debug: bool) -> Environment:
    try:
        import jinja2
    except ImportError:
        raise MissingExtra("templates need Jinja2", hint="pip install greenimi[templates]") from None
    from greenimi.web.csrf import csrf_token

    for folder in settings.folders:
        if not Path(folder).is_dir():
            raise ConfigError(f"there is no folder of templates {Path(folder).resolve()}")

    class OneUse(jinja2.Template):
        """What one template imports of another is made anew each time: kept, it would carry values from one rendering to the next."""

        def _get_default_module(self, ctx: Any = None) -> Any:
            self._module = None
            return super()._get_default_module(ctx)

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(settings.folders),
        autoescape=jinja2.select_autoescape((), [f"{kind}{ending}" for kind in _PLAIN for ending in ("", *_ENDINGS)], default=True),
        undefined=jinja2.StrictUndefined if debug else jinja2.Undefined,
        auto_reload=debug or settings.reload,
        bytecode_cache=jinja2.FileSystemBytecodeCache(_private(settings.cache)) if settings.cache else None,
    )
    environment.template_class = OneUse
    environment.globals["csrf_token"] = csrf_token
    environment.globals["url_for"] = url_for
    return environment


def _private(folder: str) -> str:
    """Whoever may write to it may have us run what he likes."""
    try:
        mode = Path(folder).stat().st_mode
    except OSError:
        raise ConfigError(f"there is no folder {folder} for compiled templates") from None
    if mode & 0o022:
        raise ConfigError(f"others may write to {folder}, the folder for compiled templates", hint=f"chmod go-w {folder}")
    return folder
