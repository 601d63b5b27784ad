"""What HTTP means to an application: bodies in, values out."""

from __future__ import annotations
