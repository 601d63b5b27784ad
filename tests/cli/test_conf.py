from __future__ import annotations

import json

from tests.cli.support import CONF, Project


def test_every_value_with_its_source_and_secrets_hidden(project: Project) -> None:
    project.write("conf/app.toml", f'{CONF}\n[shop]\npassword = "open sesame"\ndsn = "mysql://me:sesame@db/shop"\n')
    project.write(".env", "@app.shop.size=3\n")
    done = project.run("conf", "--set", "servers.web.bind=:80", env={"GREENIMI__SHOP__COLOR": "red"})
    assert done.returncode == 0, done.stderr
    heads, *rows = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert heads == ["key", "value", "set in"]
    assert ["include.1", "app", "conf/app.toml:2"] in rows
    assert ["servers.web.bind", ":80", "command line"] in rows
    assert ["shop.size", "3", ".env"] in rows
    assert ["shop.color", "red", "environment"] in rows
    assert ["shop.dsn", "mysql://me:***@db/shop", "conf/app.toml:9"] in rows
    assert ["shop.password", "***", "conf/app.toml:8"] in rows
    assert "sesame" not in done.stdout


def test_it_is_shown_also_when_the_application_is_broken(project: Project) -> None:
    project.write("app.py", "nonsense(")
    assert project.run("conf").returncode == 0


def test_as_json(project: Project) -> None:
    rows = json.loads(project.run("conf", "--json").stdout)
    assert {"key": "servers.web.kind", "value": "http", "set in": "conf/app.toml:4"} in rows


def test_every_key_of_an_application(project: Project) -> None:
    project.write(
        "app.py",
        """
from dataclasses import dataclass
from greenimi.config import option
@dataclass(frozen=True)
class ShopSettings:
    size: int = option(7, "How big it is.")
def includeme(setup):
    setup.settings("shop", ShopSettings)
""",
    )
    done = project.run("conf", "--defaults")
    assert done.returncode == 0, done.stderr
    assert "[shop]\n# How big it is.\nsize = 7\n" in done.stdout
    assert "[servers.web]\n" in done.stdout


def test_every_key_of_greenimi_where_there_is_no_application(project: Project) -> None:
    (project.folder / "conf/app.toml").unlink()
    done = project.run("conf", "--defaults")
    assert done.returncode == 0, done.stderr
    assert "[servers.NAME]\n" in done.stdout
    assert "[workers]\n" in done.stdout
