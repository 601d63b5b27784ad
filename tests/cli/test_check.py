from __future__ import annotations

from tests.cli.support import Project


def test_all_is_well(project: Project) -> None:
    done = project.run("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "conf/app.toml: all is well (1 server, 1 route, 1 bean, 0 commands)\n"


def test_a_mistake_in_conf_is_its_message_and_1(project: Project) -> None:
    project.write("conf/app.toml", '[servers.web]\nkidn = "http"\n')
    done = project.run("check", "conf/app.toml")
    assert (done.returncode, done.stdout) == (1, "")
    assert "greenimi: conf/app.toml:2: unknown key kidn in [servers.web]; did you mean kind?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistake_in_the_application_is_its_message_and_1(project: Project) -> None:
    project.write("app.py", "from greenimi import http\n@http\nclass Empty: ...\n")
    done = project.run("check")
    assert done.returncode == 1
    assert "greenimi: app.py:2: the controller Empty has no handlers\n  hint: " in done.stderr


def test_no_bean_is_made(project: Project) -> None:
    project.write("app.py", "from greenimi import bean\n@bean\nclass Loud:\n    def __init__(self) -> None:\n        print('made')\n")
    assert "made" not in project.run("check").stdout


def test_an_application_that_cannot_be_imported_shows_where_and_1(project: Project) -> None:
    project.write("app.py", "nonsense(")
    done = project.run("check")
    assert done.returncode == 1
    assert 'app.py", line 1' in done.stderr
    assert "SyntaxError" in done.stderr
