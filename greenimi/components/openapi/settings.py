"""The settings of the component, the table ``[openapi]`` in conf."""

from __future__ import annotations

from dataclasses import dataclass

from greenimi.config import option


@dataclass(frozen=True)
class OpenApiSettings:
    """``[openapi]``"""

    title: str = option("", "Title of the API; by default the name of the application.")
    version: str = option("0.1.0", "Version of the API.")
    description: str = option("", "What the API is for, as CommonMark.")
    addresses: list[str] = option([], "URLs that clients reach it at; by default the root of the host that the document came from.")
    files: dict[str, str] = option({}, "Files with hand-written parts, JSON or YAML, by the server whose document they belong to.")
    environments: list[str] = option(["development", "test"], "Environments in which document and page are served; * for all.")
    servers: list[str] = option([], "HTTP servers that serve their document; by default all.")
    document: str = option("/openapi.json", "Path of the document; empty for none.")
    yaml: str = option("/openapi.yaml", "Path of the document as YAML, where PyYAML is installed; empty for none.")
    page: str = option("/docs", "Path of the page to read and try it; empty for none.  It shows the document.")
