from __future__ import annotations

from tests.cli.support import Project

APP = """
from greenimi import bean, listener
from greenimi.event.lifecycle import WorkerStopped
@bean
class Shop:
    size = 42
@bean(lifetime="message")
class Basket: ...
@listener
def down(event: WorkerStopped) -> None:
    print("down")
"""


def test_the_started_application_is_at_hand_and_stopped_afterwards(project: Project) -> None:
    project.write("app.py", APP)
    lines = ["from app import Shop, Basket", "print(container.get(Shop).size)", "print(container.get(Basket) is container.get(Basket))"]
    lines += ["print(app.container is container, scope.container is container, config.get('servers.web.kind'))"]
    done = project.run("shell", input="\n".join(lines) + "\n")
    assert done.returncode == 0, done.stderr
    assert [line.rpartition(">>> ")[2] for line in done.stdout.splitlines()] == ["42", "True", "True True http", "down"]
    assert "At hand: app, container, config, events, scope." in done.stderr


def test_exit_gives_its_status_and_stops_the_application(project: Project) -> None:
    project.write("app.py", APP)
    done = project.run("shell", input="import sys; sys.exit(3)\n")
    assert done.returncode == 3
    assert done.stdout.endswith("down\n")
