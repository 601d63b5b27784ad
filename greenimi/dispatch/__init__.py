"""Dispatch: from a message to its handler, and back to an answer."""

from __future__ import annotations
