"""Takes forms, remembers its visitors, and tells what it holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from greenimi import Request, get, http, post
from greenimi.container.registry import current_container
from greenimi.web import Session, UploadedFile, csrf_token
from greenimi.web.forms import Uploads
from greenimi.web.request import payload_of

CONF = """
include = ["tests.live.apps.forms"]

[servers.web]
kind = "http"
max_body = 100_000

[servers.web.uploads]
max_body = 100_000_000
max_files = 3
max_field = 1000
folder = "{folder}"

[servers.web.session]
driver = "file"
folder = "{folder}/sessions"
"""


def told(value: Any) -> Any:
    if isinstance(value, UploadedFile):
        return {"filename": value.filename, "type": value.content_type, "size": value.size, "begins": value.read(20).decode("latin-1")}
    return [told(each) for each in value] if isinstance(value, list) else value


@http
class Desk:
    @post("/form")
    def form(self, request: Request) -> Any:
        return {name: told(value) for name, value in payload_of(request).items()}

    @post("/keep")
    def keep(self, file: UploadedFile, folder: str) -> str:
        return file.save(folder, file.filename).name

    @post("/whole")
    def whole(self, request: Request) -> int:
        return len(request.body())

    @get("/levels")
    def levels(self) -> dict[str, Any]:
        uploads = current_container().get(Uploads)
        return {"pid": os.getpid(), "on_disk": uploads.on_disk, "files": opened(uploads.settings.folder)}

    @get("/visit")
    def visit(self, session: Session) -> dict[str, Any]:
        session.set("visits", session.get("visits", 0) + 1)
        return {"visits": session.get("visits"), "pid": os.getpid(), "token": csrf_token()}


def opened(folder: str) -> int:
    """How many files in a folder this process has open, those without a name."""
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        try:
            found += str(path.readlink()).startswith(f"{folder}/#")
        except FileNotFoundError:  # the folder of descriptors itself
            continue
    return found
