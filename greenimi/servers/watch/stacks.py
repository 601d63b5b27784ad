"""Stacks for people: where the application stands, and how it came there."""

from __future__ import annotations

import linecache
import os
import sysconfig
import tokenize  # noqa: F401 - linecache would import it while another thread's stack is written
from pathlib import Path
from types import CodeType, FrameType

import gevent

_DEEPEST = 60
"""Frames of a stack that are told."""

_LONGEST = 200
"""Characters of a line of source."""

_INSTALLED = f"{os.sep}site-packages{os.sep}"
_STDLIB = sysconfig.get_path("stdlib") + os.sep
_OURS = (str(Path(__file__).parents[2]) + os.sep, str(Path(gevent.__file__).parent) + os.sep)

_DEBUGGERS = {"bdb", "pdb", "code", "IPython", "pydevd", "_pydevd_bundle"}


Frames = list[tuple[CodeType, int]]


def frames_of(frame: FrameType | None) -> Frames:
    """Code and line of each frame, innermost first, at most sixty: what is left of a stack when its owner goes on.  For any thread."""
    frames: Frames = []
    while frame is not None and len(frames) < _DEEPEST:
        frames.append((frame.f_code, frame.f_lineno or frame.f_code.co_firstlineno))
        frame = frame.f_back
    return frames


def describe(frames: Frames) -> tuple[str, str]:
    """``(where, stack)``.  Reads source files.  May be called in any thread.

    where  ``file:line in function`` of the application's innermost line; where none is the application's, an installed library's
    stack  a line for each frame, innermost first, that of ``where`` marked with ``>``
    """
    if not frames:
        return "", ""
    guilty = min(range(len(frames)), key=lambda number: (_distance(frames[number][0]), number))
    lines = []
    for number, (code, line) in enumerate(frames):
        source = linecache.getline(code.co_filename, line).strip()[:_LONGEST]
        lines.append(f"{'>' if number == guilty else ' '} {_place(code, line)}{': ' if source else ''}{source}")
    return _place(*frames[guilty]), "\n".join(lines)


def _place(code: CodeType, line: int) -> str:
    return f"{code.co_filename}:{line} in {code.co_qualname}"


def _distance(code: CodeType) -> int:
    """From the application: 0 its own code, 1 an installed library's, 2 of Python, gevent and greenimi."""
    file = code.co_filename
    if file.startswith((*_OURS, "<frozen ")):
        return 2
    if _INSTALLED in file:
        return 1
    return 2 if file.startswith(_STDLIB) else 0


def in_debugger(frame: FrameType | None) -> bool:
    """Whether somebody is at the prompt of a debugger there."""
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] in _DEBUGGERS:
            return True
        frame = frame.f_back
    return False
