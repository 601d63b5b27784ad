"""``greenimi openapi``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from greenimi.components.openapi.documents import Documents
from greenimi.container.registry import current_container
from greenimi.errors import StartError
from greenimi.marks import command


@command
def openapi(
    *,
    output: Annotated[str, "file to write, as YAML where its name ends in .yaml or .yml; by default JSON to stdout", "-o"] = "",
    server: Annotated[str, "HTTP server whose document it is; needed where there are several"] = "",
) -> None:
    """Write the OpenAPI document of an HTTP server."""
    documents = current_container().get(Documents)
    if not server:
        if len(documents.servers) != 1:
            names = ", ".join(documents.servers) or "none"
            raise StartError(f"name one of the HTTP servers by --server: {names}")
        server = documents.servers[0]
    is_yaml = Path(output).suffix in (".yaml", ".yml")
    text = documents.yaml(server) if is_yaml else documents.json(server)
    if output:
        Path(output).write_bytes(text)
    else:
        sys.stdout.write(text.decode())
