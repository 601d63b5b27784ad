"""What an application with a database gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenimi.orm.schema import commands
from greenimi.orm.schema.models import Models
from greenimi.orm.schema.settings import MigrationSettings

if TYPE_CHECKING:
    from greenimi.container.setup import Setup


def include(setup: Setup, settings: MigrationSettings) -> None:
    """The commands, and what they need."""
    setup.container.add(MigrationSettings, settings)
    setup.container.add(Models, Models(setup))
    for name in ("new", "up", "down", "status", "diff", "generate_model"):
        setup.include(f"{commands.__name__}:{name}")
