"""For tests of applications and of drivers.

The pytest plugin (``greenimi.testing.plugin``, loaded by its entry point) brings the fixtures, :mod:`greenimi.testing.clients` talks to
every door without a network, :mod:`greenimi.testing.contracts` holds one suite for each interface of the core.

Nothing is imported here: the plugin must patch the standard library before anything else of greenimi is imported.
"""
