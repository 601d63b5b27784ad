from __future__ import annotations

import logging
import shutil
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenimi.errors import ConfigError
from greenimi.servers.entrance.tls import TlsContexts, check_entrance, contexts_for, prepare
from greenimi.servers.settings import CertificateSettings, ServerSettings, TlsSettings
from tests.certificates import certificates

FILES = certificates()
TLS = TlsSettings(certificate=FILES.file("server.pem"), key=FILES.file("server.key"))
OTHER = CertificateSettings(["Other.example", "*.other.example"], FILES.file("other.pem"), FILES.file("other.key"))


def settings(kind: str = "http", **tls: Any) -> ServerSettings:
    return ServerSettings(kind=kind, tls=replace(TLS, **tls))


class Talk:
    """A client and a server in memory."""

    def __init__(self, contexts: TlsContexts, name: str | None = "localhost", session: Any = None, **options: Any) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        for option, value in options.items():
            setattr(context, option, value)
        if session is not None:
            context = session[0]
        self.context = context
        here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = context.wrap_bio(here, there, server_hostname=name, session=session and session[1])
        self.server = contexts.wrap(there, here)
        for side in (self.client, self.server, self.client, self.server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
        with pytest.raises(ssl.SSLWantReadError):
            self.client.read(1)  # takes the tickets

    @property
    def certificate(self) -> bytes | None:
        return self.client.getpeercert(True)

    @property
    def session(self) -> Any:
        return self.context, self.client.session


def der(name: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(Path(FILES.file(f"{name}.pem")).read_text())


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("localhost", "server"),
        (None, "server"),
        ("127.0.0.1", "server"),
        ("other.example", "other"),
        ("OTHER.example", "other"),
        ("a.other.example", "other"),
        ("b.a.other.example", "server"),
        ("another.example", "server"),
    ],
)
def test_the_certificate_is_chosen_by_name(asked: str | None, given: str) -> None:
    talk = Talk(TlsContexts(settings(others=[OTHER])), asked)
    assert talk.certificate == der(given)
    assert talk.server.server_name == (None if asked == "127.0.0.1" else asked)


def test_versions_and_ciphers() -> None:
    old: dict[str, Any] = {"maximum_version": ssl.TLSVersion.TLSv1_2}
    assert Talk(TlsContexts(settings())).client.version() == "TLSv1.3"
    talk = Talk(TlsContexts(settings()), **old)
    assert (talk.client.version(), talk.client.compression()) == ("TLSv1.2", None)
    cipher = talk.client.cipher()
    assert cipher is not None
    assert cipher[0].startswith("ECDHE-ECDSA-AES")
    talk = Talk(TlsContexts(settings(ciphers="ECDHE+CHACHA20")), **old)
    assert talk.client.cipher() == ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLSv1.2", 256)
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        Talk(TlsContexts(settings(minimum="1.3")), **old)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_even_after_certificates_were_read_again(version: ssl.TLSVersion) -> None:
    contexts = TlsContexts(settings())
    first = Talk(contexts, maximum_version=version)
    assert not first.client.session_reused
    assert contexts.reload()
    assert Talk(contexts, session=first.session).client.session_reused
    assert not Talk(TlsContexts(settings()), session=first.session).client.session_reused


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_ends_with_the_trust_in_its_authority(tmp_path: Path, version: ssl.TLSVersion) -> None:
    authorities = tmp_path / "authorities.pem"
    shutil.copy(FILES.file("ca.pem"), authorities)
    contexts = TlsContexts(settings(clients="required", client_ca=str(authorities)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = version
    context.load_cert_chain(FILES.file("client.pem"), FILES.file("client.key"))
    first = Talk(contexts, session=(context, None))
    assert contexts.reload()
    again = Talk(contexts, session=first.session)
    assert again.client.session_reused
    assert again.server.getpeercert(True) == der("client")
    (tmp_path / "new.pem").write_bytes(Path(FILES.file("stranger.pem")).read_bytes())
    (tmp_path / "new.pem").replace(authorities)
    assert contexts.reload()
    with pytest.raises(ssl.SSLError):
        Talk(contexts, session=again.session)


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], None]:
    def copy(name: str) -> None:
        """Put another certificate in place of the one in use."""
        for end in ("pem", "key"):
            shutil.copy(FILES.file(f"{name}.{end}"), tmp_path / f"new.{end}")
            (tmp_path / f"new.{end}").replace(tmp_path / f"my.{end}")

    return copy


def test_changed_files_are_read_again_once_they_rest(copied: Callable[[str], None], tmp_path: Path) -> None:
    copied("server")
    contexts = TlsContexts(settings(certificate=str(tmp_path / "my.pem"), key=str(tmp_path / "my.key")))
    assert not contexts.reload_if_changed()
    copied("other")
    assert not contexts.reload_if_changed()
    assert Talk(contexts).certificate == der("server")
    copied("rsa")
    assert not contexts.reload_if_changed()
    assert contexts.reload_if_changed()
    assert not contexts.reload_if_changed()
    assert Talk(contexts).certificate == der("rsa")


@pytest.mark.parametrize("damage", ["write", "remove", "mismatch"])
def test_broken_files_keep_the_old_certificates(
    copied: Callable[[str], None], tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    copied("server")
    file = tmp_path / "my.pem"
    contexts = TlsContexts(settings(certificate=str(file), key=str(tmp_path / "my.key")))
    match damage:
        case "write":
            file.write_text("nonsense")
        case "remove":
            file.unlink()
        case "mismatch":
            shutil.copy(FILES.file("other.pem"), file)
    caplog.set_level(logging.INFO, "greenimi.servers")
    assert not contexts.reload_if_changed()
    assert caplog.text == ""
    assert not contexts.reload_if_changed()
    assert "the old certificates stay in use" in caplog.text
    assert str(file) in caplog.text
    caplog.clear()
    assert not contexts.reload_if_changed()
    assert caplog.text == ""  # said once
    assert Talk(contexts).certificate == der("server")
    copied("other")
    contexts.reload()
    assert Talk(contexts).certificate == der("other")


@pytest.fixture
def unprepared() -> Iterator[None]:
    yield
    prepare([])


@pytest.mark.usefixtures("unprepared")
def test_what_is_prepared_is_used() -> None:
    prepare([settings(), ServerSettings()])
    found = contexts_for(settings())
    assert contexts_for(settings()) is found
    assert contexts_for(settings("tcp")) is not found
    assert contexts_for(settings(minimum="1.3")) is not found
    session = Talk(found).session
    prepare([settings("tcp"), settings()])
    assert Talk(contexts_for(settings()), session=session).client.session_reused
    with pytest.raises(ConfigError):
        prepare([settings(certificate="/no/such")])
    assert contexts_for(settings()) is found
    prepare([settings(minimum="1.3")])
    assert contexts_for(settings()) is not found


@pytest.mark.usefixtures("unprepared")
def test_preparing_again_reads_again(copied: Callable[[str], None], tmp_path: Path) -> None:
    mine = settings(certificate=str(tmp_path / "my.pem"), key=str(tmp_path / "my.key"))
    copied("server")
    prepare([mine])
    copied("other")
    prepare([mine])
    assert Talk(contexts_for(mine)).certificate == der("other")


@pytest.mark.usefixtures("unprepared")
def test_a_worker_need_not_be_able_to_read_the_files(copied: Callable[[str], None], tmp_path: Path) -> None:
    mine = settings(certificate=str(tmp_path / "my.pem"), key=str(tmp_path / "my.key"))
    copied("server")
    prepare([mine])
    (tmp_path / "my.key").unlink()
    check_entrance(mine)
    assert Talk(contexts_for(mine)).certificate == der("server")


GOOD = [
    ServerSettings(),
    ServerSettings(kind="udp"),
    settings(),
    settings("tcp"),
    settings(others=[OTHER], minimum="1.3", ciphers="ECDHE+AESGCM"),
    settings(clients="required", client_ca=FILES.file("ca.pem")),
    settings(clients="optional", client_ca=FILES.file("ca.pem")),
    ServerSettings(proxy_protocol=True, trusted=["10.0.0.0/8", "unix"]),
]


@pytest.mark.parametrize("good", GOOD)
def test_good_settings(good: ServerSettings) -> None:
    check_entrance(good)


def wrong_other(**changes: Any) -> ServerSettings:
    return settings(others=[OTHER, replace(OTHER, **{"names": ["x.example"], **changes})])


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (settings("udp"), "tls.certificate: a udp server"),
        (ServerSettings(kind="udp", proxy_protocol=True, trusted=["::1"]), "proxy_protocol: a udp server"),
        (ServerSettings(handshake=0), "handshake: 0 must be more than 0"),
        (ServerSettings(proxy_protocol=True), "trusted: nobody"),
        (ServerSettings(trusted=["here"]), "trusted: 'here'"),
        (ServerSettings(tls=TlsSettings(key="x")), "tls.certificate: there is none"),
        (ServerSettings(tls=TlsSettings(minimum="1.3")), "tls.certificate: there is none"),
        (settings(certificate="/no/such"), "tls.certificate: /no/such cannot be read: No such file"),
        (settings(key="/no/such"), "tls.key: /no/such cannot be read: No such file"),
        (settings(key=""), "tls.certificate: {server.pem} holds no private key in PEM"),
        (settings(certificate=FILES.file("server.key")), "tls.certificate: {server.key} holds no certificate in PEM"),
        (settings(key=FILES.file("server.pem")), "tls.key: {server.pem} holds no private key in PEM"),
        (settings(key=FILES.file("other.key")), "tls.key: {other.key} is not the key of {server.pem}"),
        (settings(key=FILES.file("locked.key")), "tls.key: {locked.key} is protected by a password"),
        (settings(minimum="1.1"), "tls.minimum: '1.1' is not one of 1.2, 1.3"),
        (settings(clients="maybe"), "tls.clients: 'maybe' is not one of none, optional, required"),
        (settings(clients="required"), "tls.client_ca: clients = 'required' needs"),
        (settings(client_ca=FILES.file("ca.pem")), "tls.client_ca: with clients = 'none'"),
        (settings(clients="required", client_ca="/no/such"), "tls.client_ca: /no/such cannot be read"),
        (settings(clients="required", client_ca=FILES.file("ca.key")), "tls.client_ca: {ca.key} holds no certificate"),
        (settings(ciphers="MAGIC"), "tls.ciphers: OpenSSL knows no cipher by 'MAGIC'"),
        (wrong_other(certificate="/no/such"), "tls.others.1.certificate: /no/such"),
        (wrong_other(key=FILES.file("rsa.key")), "tls.others.1.key: {rsa.key} is not the key of {other.pem}"),
        (wrong_other(names=["other.EXAMPLE"]), "tls.others.1.names: 'other.EXAMPLE' has a certificate already"),
        (wrong_other(names=["*.other.example."]), "tls.others.1.names: '*.other.example.' has a certificate already"),
        (wrong_other(names=["a.*.example"]), "tls.others.1.names: 'a.*.example' is no host name"),
        (wrong_other(names=["*"]), "tls.others.1.names: '*' is no host name"),
        (wrong_other(names=[""]), "tls.others.1.names: '' is no host name"),
        (wrong_other(names=[]), "tls.others.1.names: there are none"),
    ],
)
def test_wrong_settings(wrong: ServerSettings, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_entrance(wrong)
    for name in ("server.pem", "server.key", "other.pem", "other.key", "rsa.key", "locked.key", "ca.key"):
        problem = problem.replace(f"{{{name}}}", FILES.file(name))
    assert caught.value.text.startswith(problem)


def test_files_of_garbage_in_pem(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n")
    for wrong in (settings(certificate=str(bad)), settings(clients="required", client_ca=str(bad))):
        with pytest.raises(ConfigError, match="cannot be used") as caught:
            check_entrance(wrong)
        assert str(bad) in caught.value.text
