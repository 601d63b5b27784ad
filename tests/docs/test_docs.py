"""Every block of the documentation runs, or says why not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.blocks import Block, Page, blocks_of
from tests.docs.terminal import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])


def run_page(path: Path, name: str, folder: Path) -> list[Block]:
    """Run the blocks of a page in ``folder``.  Fails with the file and line of the first that breaks."""
    done = []
    with Page(name, folder) as page:
        for block in blocks_of(path.read_text(encoding="utf-8")):
            try:
                page.run(block)
            except (Exception, SystemExit) as error:
                text = f"{name}:{block.line}: the {block.language} block there: {type(error).__name__}: {error}"
                raise AssertionError(text) from error
            done.append(block)
    return done


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_page(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    if ROOT / "examples" in path.parents:  # an example's own page runs in a copy of it
        shutil.copytree(path.parent, folder, ignore=shutil.ignore_patterns("*.sqlite*", "__pycache__"))
    else:
        folder.mkdir()
    name = path.relative_to(ROOT).as_posix()
    assert run_page(path, name, folder) == list(blocks_of(path.read_text(encoding="utf-8")))


def run_text(text: str, tmp_path: Path) -> list[Block]:
    """Run a page of this text, in which ``~~~`` stands for a fence."""
    path = tmp_path / "page.md"
    path.write_text(text.replace("~~~", "```"))
    (tmp_path / "page").mkdir()
    return run_page(path, "page.md", tmp_path / "page")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("words\n~~~python\nx = 1\nassert x == 2\n~~~", "page.md:3: the python block there: AssertionError"),
        ("~~~python app\nfrom greenimi import http\n@http\nclass Empty: ...\n~~~", "page.md:2: the python block there: StartError"),
        ("~~~toml\n[servers.web]\nknid = 'http'\n~~~", "page.md:2: the toml block there: ConfigError"),
        ("~~~console\n$ echo one; echo two\none\nthree\n~~~", "page.md:2: the console block there: AssertionError: line 2: "),
        ("~~~json\n{\n~~~", "page.md:2: the json block there: JSONDecodeError"),
        ("~~~perl\n1\n~~~", "page.md:2: the perl block there: AssertionError: a block of perl is not run"),
        ("~~~\n1\n~~~", "a block of no language is not run"),
        ("~~~perl not-run=''\n1\n~~~", "say why"),
    ],
)
def test_a_block_that_breaks_is_named(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(AssertionError) as caught:
        run_text(text, tmp_path)
    assert problem in str(caught.value)


def test_a_fence_that_does_not_end_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 2: this fence does not end"):
        run_text("words\n~~~python\nx = 1\n", tmp_path)


def test_blocks_share_names_files_ports_and_a_terminal(tmp_path: Path) -> None:
    text = """
~~~python file=tool.py
print("tool", 8000 == 9000)
~~~
~~~python app=tool
from greenimi import get, http

@http
class Hello:
    @get("/hello")
    def hello(self) -> str:
        return "hello"
~~~
~~~python
assert Hello().hello() == "hello"
assert app.doors.servers["web"].name == "web"
~~~
~~~console
$ curl -s http://127.0.0.1:8000/hello
hello
$ python tool.py
tool ...
$ cat
> one
one
> two
two
~~~
~~~python not-run="it would never end"
while True: pass
~~~
"""
    assert len(run_text(text, tmp_path)) == 5
