from __future__ import annotations

import os
import subprocess
import sys

import pytest

import greenimi
from greenimi.cli.main import BUILTIN, main
from tests.cli.support import MAIN, PATIENCE, Project, environment


def test_alone_it_orients(project: Project) -> None:
    done = project.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert "greenimi new shop" in done.stdout
    assert "greenimi serve --reload" in done.stdout


def test_version(project: Project) -> None:
    done = project.run("--version")
    assert (done.returncode, done.stdout) == (0, f"greenimi {greenimi.__version__}\n")


def test_help_lists_our_commands_and_those_of_the_application(project: Project) -> None:
    project.write("app.py", 'from greenimi import command\n@command()\ndef report(month: int) -> None:\n    """Print a month."""\n')
    done = project.run("--help")
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in BUILTIN)
    assert "report         Print a month." in done.stdout
    assert "examples:" in done.stdout


def test_help_comes_also_when_the_application_is_broken(project: Project) -> None:
    project.write("app.py", "nonsense(")
    done = project.run("--help")
    assert done.returncode == 0
    assert "it cannot be read: SyntaxError" in done.stdout


@pytest.mark.parametrize("name", BUILTIN)
def test_each_command_has_help_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert f"usage: greenimi {name}" in shown
    assert BUILTIN[name][:40] in shown
    assert f"examples:\n  greenimi {name}" in shown


@pytest.mark.parametrize(("typed", "meant"), [("srve", "serve"), ("route", "routes"), ("repotr", "report")])
def test_an_unknown_command_suggests(project: Project, typed: str, meant: str) -> None:
    project.write("app.py", "from greenimi import command\n@command()\ndef report() -> None: ...\n")
    done = project.run(typed)
    assert done.returncode == 2
    assert done.stderr == f"greenimi: there is no command {typed}; did you mean {meant}?\n"


def test_an_unknown_command_where_there_is_no_application(project: Project) -> None:
    (project.folder / "conf/app.toml").unlink()
    done = project.run("serv")
    assert done.returncode == 2
    assert "did you mean serve?" in done.stderr
    assert "there is no conf/app.toml" in done.stderr


def test_help_before_a_command_is_that_of_the_command(project: Project) -> None:
    assert project.run("--help", "serve").stdout == project.run("serve", "--help").stdout != ""


def test_help_lists_the_commands_of_the_conf_that_is_named(project: Project) -> None:
    project.write("app.py", "from greenimi import command\n@command()\ndef report() -> None: ...\n")
    (project.folder / "conf/app.toml").rename(project.folder / "other.toml")
    assert "report" not in project.run("--help").stdout.partition("commands:")[2].partition("examples:")[0]
    assert "  report " in project.run("--conf", "other.toml", "--help").stdout


def test_options_without_a_command(project: Project) -> None:
    done = project.run("--env", "test")
    assert done.returncode == 2
    assert "no command given" in done.stderr


def test_a_start_error_is_its_text_and_its_hint_and_with_debug_a_traceback(project: Project) -> None:
    done = project.run("check", "nowhere.toml")
    assert done.returncode == 1
    assert done.stderr.startswith("greenimi: there is no nowhere.toml\n  hint: ")
    assert "Traceback" not in done.stderr
    assert "Traceback" in project.run("check", "nowhere.toml", "--debug").stderr


def test_a_wrong_option_is_a_usage_error(project: Project) -> None:
    done = project.run("serve", "--wrokers", "2")
    assert done.returncode == 2
    assert "unrecognized arguments: --wrokers\n" in done.stderr


def test_options_count_before_and_behind_the_command(project: Project) -> None:
    project.write("conf/night.toml", "[app]\ndebug = true\n")
    done = project.run("--set", "app.name=one", "--env", "night", "conf", "--set", "servers.web.idle=3")
    shown = [line.split() for line in done.stdout.splitlines()]
    assert ["app.name", "one", "command", "line"] in shown
    assert ["servers.web.idle", "3", "command", "line"] in shown
    assert ["app.debug", "True", "conf/night.toml:2"] in shown
    assert ["environment", "night", "environment"] in shown


def test_a_reader_that_goes_away_is_no_traceback(project: Project) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, MAIN, "routes"]
    done = subprocess.run(
        command, cwd=project.folder, env=environment(), stdout=writing, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")
