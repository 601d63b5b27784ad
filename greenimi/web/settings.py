"""The settings of what HTTP servers do around handlers, tables of ``[servers.NAME]`` in conf."""

from __future__ import annotations
