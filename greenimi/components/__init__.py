"""Packages that an application asks for by name: ``include = ["greenimi.components.openapi"]``."""
