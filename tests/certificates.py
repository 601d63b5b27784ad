"""Certificates for tests, made with openssl once a run."""

from __future__ import annotations

import atexit
import subprocess
import tempfile
from functools import cache
from pathlib import Path

PASSWORD = "sesame"


class Certificates:
    """Files in ``folder``: ``NAME.pem`` the certificate, ``NAME.key`` its private key.

    ca           the authority of all of them, but for
    stranger     which signs itself
    server       localhost, 127.0.0.1
    other        other.example and the names below it
    rsa          localhost, with an RSA key
    client       the client "ann"
    past         a client whose certificate has expired
    locked.key   the key of server, protected by a password
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._authority("ca")
        self._authority("stranger")
        self._signed("server", "localhost", "DNS:localhost,IP:127.0.0.1")
        self._signed("other", "other.example", "DNS:other.example,DNS:*.other.example")
        self._signed("rsa", "localhost", "DNS:localhost,IP:127.0.0.1", key=("rsa:2048",))
        self._signed("client", "ann", "email:ann@example.org")
        self._signed("past", "bob", "email:bob@example.org", days="-1")
        self._openssl("ec", "-in", "server.key", "-out", "locked.key", "-aes128", "-passout", f"pass:{PASSWORD}")

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def _authority(self, name: str) -> None:
        self._request(name, "-x509", "-out", f"{name}.pem", "-days", "30", "-subj", f"/CN={name} of tests")

    def _signed(self, name: str, subject: str, names: str, days: str = "30", key: tuple[str, ...] = ()) -> None:
        self._request(name, "-out", f"{name}.csr", "-subj", f"/CN={subject}", "-addext", f"subjectAltName={names}", key=key)
        sign = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copy")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", "-days", days, *sign)

    def _request(self, name: str, *options: str, key: tuple[str, ...] = ()) -> None:
        kind = key or ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        self._openssl("req", "-newkey", *kind, "-nodes", "-keyout", f"{name}.key", *options)

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=20)


@cache
def certificates() -> Certificates:
    """The same files for a whole run of tests.  Not to be changed: copy what is to be changed."""
    folder = tempfile.TemporaryDirectory(prefix="certificates")
    atexit.register(folder.cleanup)
    return Certificates(Path(folder.name))
