"""One suite for each interface of the core: subclass it under a name that pytest collects, say how to make the subject, and run it.

::

    class TestMyPayload(PayloadContract):
        def make(self):
            return MyPayload()
"""

from __future__ import annotations

from greenimi.testing.contracts.cache import CacheStoreContract
from greenimi.testing.contracts.codec import CodecContract
from greenimi.testing.contracts.config import ConfigContract
from greenimi.testing.contracts.framing import FramingContract
from greenimi.testing.contracts.hub_store import HubStoreContract
from greenimi.testing.contracts.lock import LockStoreContract, SharedLockStoreContract
from greenimi.testing.contracts.payload import PayloadContract
from greenimi.testing.contracts.relay import RelayContract
from greenimi.testing.contracts.row_table import RowTableContract
from greenimi.testing.contracts.service import ServiceContract
from greenimi.testing.contracts.session_store import SessionStoreContract

__all__ = [
    "CacheStoreContract",
    "CodecContract",
    "ConfigContract",
    "FramingContract",
    "HubStoreContract",
    "LockStoreContract",
    "PayloadContract",
    "RelayContract",
    "RowTableContract",
    "ServiceContract",
    "SessionStoreContract",
    "SharedLockStoreContract",
]
