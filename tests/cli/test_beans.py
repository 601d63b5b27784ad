from __future__ import annotations

import json

from tests.cli.support import Project

APP = """
from typing import Protocol
from greenimi import bean
class Mailer(Protocol):
    def send(self) -> None: ...
@bean(provides=Mailer, name="fast", server="web")
class Smtp:
    def send(self) -> None: ...
@bean(lifetime="message")
class Basket: ...
"""


def test_a_line_for_each_bean(project: Project) -> None:
    project.write("app.py", APP)
    done = project.run("beans")
    assert done.returncode == 0, done.stderr
    heads, *rows = [[cell.strip() for cell in line.split("  ") if cell] for line in done.stdout.splitlines()]
    assert heads == ["name", "found by", "lifetime", "servers", "where"]
    assert rows == [
        ["fast", "app.Smtp, app.Mailer", "app", "web", "app.py:6"],
        ["Basket", "app.Basket", "message", "all", "app.py:9"],
    ]


def test_as_json_with_whole_paths(project: Project) -> None:
    project.write("app.py", APP)
    fast, _ = json.loads(project.run("beans", "--json").stdout)
    assert fast["found by"] == ["app.Smtp", "app.Mailer"]
    assert fast["where"] == f"{project.folder}/app.py:6"
