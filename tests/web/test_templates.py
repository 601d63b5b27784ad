"""Templates, and that nothing of one request appears in another."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from greenimi import Response, bean, get, green, http, listener, post
from greenimi.app import App
from greenimi.container import Container, Scope
from greenimi.errors import ConfigError, GreenimiError, MissingBean, MissingExtra, StartError
from greenimi.marks import Where
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory
from greenimi.web.settings import TemplateSettings
from greenimi.web.templates import MissingTemplate, Templates, TemplatesCreated, render_template, variables
from tests.web.asking import asking

Make = Callable[..., Templates]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def build(
        files: dict[str, str], *, debug: bool = False, emit: Callable[[Any], object] = lambda event: None, **settings: Any
    ) -> Templates:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        found = Templates("web", TemplateSettings([str(tmp_path)], **settings), debug=debug)
        found.open(emit)
        return found

    return build


def test_variables_conditions_loops_and_includes(make: Make) -> None:
    templates = make(
        {
            "page.html": "{% extends 'base.html' %}{% block body %}{% for line in lines if line.pieces %}"
            "{{ loop.index }}: {% include 'parts/line.html' %}{% else %}none{% endfor %}{% endblock %}",
            "base.html": "<title>{{ title|upper }}</title>{% block body %}{% endblock %}",
            "parts/line.html": "[{{ line.sku }} {{ line['pieces'] }}{% if line.pieces > 1 %}s{% endif %}]",
        }
    )
    lines = [{"sku": "tea", "pieces": 2}, {"sku": "none", "pieces": 0}, {"sku": "cup", "pieces": 1}]
    assert templates.render("page.html", {"title": "Order", "lines": lines}) == "<title>ORDER</title>1: [tea 2s]2: [cup 1]"
    assert templates.render("page.html", {"lines": []}) == "<title></title>none"


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("a.html", True),
        ("a.html.j2", True),
        ("a.xml", True),
        ("a.js", True),
        ("a", True),
        ("a.TXT.html", True),
        ("a.txt", False),
        ("a.csv.j2", False),
    ],
)
def test_values_are_escaped_wherever_a_browser_could_read_them(make: Make, name: str, escaped: bool) -> None:
    found = make({name: "{{ value }}"}).render(name, {"value": "<script>'"})
    assert found == ("&lt;script&gt;&#39;" if escaped else "<script>'")


def test_pages_have_the_type_of_their_name(make: Make) -> None:
    templates = make(dict.fromkeys(("a.html", "a.txt.j2", "a.xml", "a.page", "a.svg.jinja"), "x"))
    kinds = {name: templates.page(name).content_type for name in ("a.html", "a.txt.j2", "a.xml", "a.page", "a.svg.jinja")}
    assert kinds == {
        "a.html": "text/html; charset=utf-8",
        "a.txt.j2": "text/plain; charset=utf-8",
        "a.xml": "text/xml; charset=utf-8",
        "a.page": "text/html; charset=utf-8",
        "a.svg.jinja": "image/svg+xml",
    }
    assert templates.page("a.html", status=404).status == 404


def test_a_variable_that_is_not_there(make: Make) -> None:
    files = {"a.html": "[{{ missing }}]"}
    assert make(files).render("a.html") == "[]"
    with pytest.raises(Exception, match="'missing' is undefined"):
        make(files, debug=True).render("a.html")


def test_a_template_that_is_not_there_names_the_folders(make: Make, tmp_path: Path) -> None:
    templates = make({"a.html": "{% include 'inner.html' %}"})
    for name, missing in (("b.html", "b.html"), ("a.html", "inner.html"), ("../secret.html", "../secret.html")):
        with pytest.raises(MissingTemplate) as caught:
            templates.render(name)
        assert caught.value.text == f"there is no template {missing} in {tmp_path}"


def test_what_is_expected_is_looked_for_at_the_start(tmp_path: Path) -> None:
    templates = Templates("web", TemplateSettings([str(tmp_path)]), debug=False)
    templates.expect("a.html")
    with pytest.raises(MissingTemplate, match=r"^there is no template a.html"):
        templates.open(lambda event: None)


def test_the_place_that_names_what_is_not_there_is_told(tmp_path: Path) -> None:
    templates = Templates("web", TemplateSettings([str(tmp_path)]), debug=False)
    templates.expect("a.html", Where("/app/shop.py", 7))
    with pytest.raises(StartError, match=r"^shop.py:7: there is no template a.html"):
        templates.open(lambda event: None)


def test_the_first_folder_wins(make: Make, tmp_path: Path) -> None:
    make({"one/a.html": "one", "two/a.html": "two", "two/b.html": "b"})
    templates = Templates("web", TemplateSettings([str(tmp_path / "one"), str(tmp_path / "two")]), debug=False)
    templates.open(lambda event: None)
    assert templates.render("a.html") + templates.render("b.html") == "oneb"


def test_changed_files_are_seen_on_demand(make: Make, tmp_path: Path) -> None:
    for options, text in (({}, "one"), ({"reload": True}, "two"), ({"debug": True}, "two")):
        templates = make({"a.html": "one"}, **options)
        assert templates.render("a.html") == "one"
        path = tmp_path / "a.html"
        path.write_text("two")
        os.utime(path, (1, 1))
        assert templates.render("a.html") == text


def test_compiled_templates_are_kept_where_nobody_else_writes(make: Make, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(ConfigError, match="there is no folder"):
        make({"a.html": "x"}, cache=str(cache))
    cache.mkdir(mode=0o700)
    assert make({"a.html": "x"}, cache=str(cache)).render("a.html") == "x"
    assert list(cache.iterdir())
    cache.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write to"):
        make({"a.html": "x"}, cache=str(cache))


def test_mistakes_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates = Templates("web", TemplateSettings([str(tmp_path / "none")]), debug=False)
    with pytest.raises(GreenimiError, match="not open yet"):
        templates.render("a.html")
    with pytest.raises(ConfigError, match="there is no folder of templates"):
        templates.open(lambda event: None)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra) as caught:
        templates.open(lambda event: None)
    assert caught.value.hint == "pip install greenimi[templates]"


def test_an_event_tells_of_the_environment(make: Make) -> None:
    def prepare(event: TemplatesCreated) -> None:
        heard.append(event.server)
        event.environment.filters["shout"] = lambda text: f"{text}!"
        event.environment.globals["shop"] = "Tea & Co"

    heard: list[str] = []
    templates = make({"a.html": "{{ 'hello'|shout }} {{ shop }}"}, emit=prepare)
    assert (templates.render("a.html"), heard) == ("hello! Tea &amp; Co", ["web"])


# -- what the request brings ---------------------------------------------------------------------------------------
def test_without_a_request_there_is_only_what_is_given(make: Make) -> None:
    assert make({"a.html": "{{ get is defined }} {{ value }}"}).render("a.html", {"value": 1}) == "False 1"


def test_nothing_is_read_before_it_is_wanted(make: Make) -> None:
    request = asking("/", "POST", b"{broken", content_type="application/json")
    request.connection = SimpleNamespace(address="", secure=False)
    templates = make({"a.html": "{{ server.path }} {{ post|length }}", "b.html": "{{ get.a }}"})
    with Scope(Container("test"), message=request):
        assert templates.render("a.html") == "/ 0"
        assert request.stream is not None
        assert templates.render("b.html", {"get": {"a": "own"}}) == "own"


@dataclass
class Point:
    x: int


class Line(msgspec.Struct):
    y: int


def test_what_a_template_sees_of_a_value() -> None:
    assert variables({"a": 1}) == {"a": 1}
    assert (variables(Point(1)), variables(Line(2))) == ({"x": 1}, {"y": 2})
    assert variables([1]) == {"value": [1]}
    assert variables(Point) == {"value": Point}


FILES = {
    "data.html": "{{ request.method }}|{{ get.q }}|{{ post.name }}|{{ cookies.seen }}|{{ session.get('user', 'nobody') }}|"
    "{{ server.name }} {{ server.method }} {{ server.path }} {{ server.query }} {{ server.scheme }} {{ server.host }}",
    "leaky.html": "{% if get.set %}{% set mine = get.set %}{% endif %}{% import 'state.html' as state %}{% set box = state.box %}"
    "{% if get.set %}{% set box.kept = get.set %}{% set _ = state.things.append(get.set) %}{% endif %}"
    "{% include 'inner.html' %}[{{ mine }}|{{ box.kept }}|{{ state.things|join(',') }}]",
    "inner.html": "{% set inner = get.set %}{{ pause() }}({{ inner }}{{ given }})",
    "state.html": "{% set box = namespace(kept='') %}{% set things = [] %}",
    "mail.txt": "Hello {{ name }}",
}


@bean
class Letters:
    """A bean of the application, outside of any request."""

    def __init__(self, templates: Templates) -> None:
        self.templates = templates

    def letter(self) -> str:
        return self.templates.render("mail.txt", {"name": "<you>"})


@http
@dataclass
class Pages:
    templates: Templates
    letters: Letters

    @get("/data")
    @post("/data")
    def data(self) -> Response:
        return render_template("data.html")

    @get("/leaky")
    def leaky(self, given: str = "") -> Response:
        return self.templates.page("leaky.html", {"given": given})

    @get("/letter")
    def letter(self) -> str:
        return self.letters.letter()

    @get("/missing")
    def missing(self) -> Response:
        return render_template("none.html")


pauses: list[Callable[[], object]] = []


@listener
def prepare(event: TemplatesCreated) -> None:
    event.environment.globals["pause"] = lambda: pauses[-1]() if pauses else ""


@pytest.fixture
def app(app_factory: AppFactory, tmp_path: Path) -> Iterator[App]:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    web = {"kind": "http", "templates": {"folders": [str(tmp_path)]}}
    yield app_factory([Letters, Pages, prepare], {"servers": {"web": web}})
    pauses.clear()


def test_a_template_sees_its_request(app: App) -> None:
    with HttpClient(app) as client:
        found = client.get("/data?q=a%26b", headers={"Cookie": "seen=<1>"})
        assert found.headers["content-type"] == "text/html; charset=utf-8"
        assert found.text == "GET|a&amp;b||&lt;1&gt;|nobody|web GET /data q=a%26b http localhost"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert client.request("POST", "/data", body="name=%3Cme%3E", headers=form).text.startswith("POST||&lt;me&gt;||nobody|")
        assert client.get("/letter").text == "Hello <you>"


def test_an_application_without_templates_says_so(app_factory: AppFactory) -> None:
    @http
    class Bare:
        @get("/")
        def page(self) -> Response:
            return render_template("a.html")

    app = app_factory([Bare])
    with HttpClient(app) as client:
        assert client.get("/").status == 500
    with pytest.raises(MissingBean):
        app.container.get(Templates)


def test_a_missing_template_is_the_servers_fault(app: App) -> None:
    with HttpClient(app) as client:
        found = client.get("/missing")
        assert (found.status, "none.html" in found.text) == (500, False)


def test_what_one_rendering_sets_is_gone_in_the_next(app: App) -> None:
    with HttpClient(app) as client:
        assert client.get("/leaky?set=secret&given=mine").text == "(secretmine)[secret|secret|secret]"
        for _ in range(2):
            assert client.get("/leaky").text == "()[||]"


def test_renderings_at_the_same_time_do_not_see_each_other(app: App) -> None:
    gate = green.Event()
    inside: list[int] = []

    def pause() -> str:
        inside.append(1)
        gate.wait()
        return ""

    pauses.append(pause)

    def ask(value: str) -> str:
        with HttpClient(app) as client:
            return client.get(f"/leaky?set={value}&given={value}").text

    asked = [green.spawn(ask, f"v{number}") for number in range(5)] + [green.spawn(ask, "")]
    while len(inside) < 6:
        green.sleep(0.001)
    gate.set()
    found = [greenlet.get(timeout=5) for greenlet in asked]
    assert found == [f"(v{number}v{number})[v{number}|v{number}|v{number}]" for number in range(5)] + ["()[||]"]


def test_each_server_has_its_own(app_factory: AppFactory, tmp_path: Path) -> None:
    heard = []

    @listener
    def hear(event: TemplatesCreated) -> None:
        heard.append((event.server, id(event.environment)))

    servers = {}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mail.txt").write_text(name)
        servers[name] = {"kind": "http", "templates": {"folders": [str(tmp_path / name)]}}

    @http
    class Mail:
        @get("/")
        def mail(self) -> Response:
            return render_template("mail.txt")

    app = app_factory([Mail, hear], {"servers": servers})
    for name in servers:
        with HttpClient(app, name) as client:
            assert client.get("/").text == name
    assert [server for server, _ in heard] == ["one", "two"]
    assert len({environment for _, environment in heard}) == 2
