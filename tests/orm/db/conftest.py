"""What tests of all models have, by the name that these know."""

from __future__ import annotations

from tests.orm.conftest import KINDS, Tables, every_kind

__all__ = ["KINDS", "Tables", "every_kind"]
