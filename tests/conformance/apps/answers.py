"""One answer of each kind, for REDbot to look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from greenimi import Request, Response, get, http, view
from greenimi.web import FileResponse, check_conditions, entity_tag, redirect, validators


@http
class Answers:
    @get("/json")
    def json(self) -> dict[str, list[int]]:
        return {"numbers": list(range(600))}

    @get("/text")
    def text(self) -> str:
        return "to be, or not to be; " * 200

    @get("/parts")
    def parts(self) -> Iterator[str]:
        for number in range(200):
            yield f"part {number}\n"

    @get("/view")
    @view("json", "xml", "text")
    def viewed(self) -> dict[str, str]:
        return {"title": "tea & more"}

    @get("/version")
    def version(self, request: Request) -> Response:
        tag, fields = entity_tag("v1"), [("Cache-Control", "no-cache")]
        return check_conditions(request, tag, headers=fields) or Response("the first", headers=[*validators(tag), *fields])

    @get("/download")
    def download(self) -> Response:
        return FileResponse(Path(__file__), name="Überblick.py", attachment=True)

    @get("/away")
    def away(self) -> Response:
        return redirect("/json")

    @get("/nothing")
    def nothing(self) -> None:
        return None
