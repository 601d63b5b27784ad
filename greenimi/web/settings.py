"""The settings of what HTTP servers do around handlers, tables of ``[servers.NAME]`` in conf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from greenimi.config import option


@dataclass(frozen=True)
class RoutingSettings:
    """``[servers.NAME.routing]``"""

    ignore_case: bool = option(False, "Upper and lower case letters of paths are the same, unless a controller or route says otherwise.")
    auto_end_slash: bool = option(False, "Paths also count with a slash at their end, unless a controller or route says otherwise.")
    base: str = option("", "Scheme and host of absolute URLs, such as https://shop.example.org; by default what the client asked for.")


@dataclass(frozen=True)
class UploadSettings:
    """``[servers.NAME.uploads]``: multipart forms.  Over a limit: 413."""

    max_body: int = option(0, "Bytes of the body of a multipart form; 0 means the server's max_body.")
    max_files: int = option(20, "Files of a form.")
    max_file: int = option(0, "Bytes of a file; 0 means as many as the body may have.")
    max_fields: int = option(1000, "Fields of a form that are no files.")
    max_field: int = option(64 * 1024, "Bytes of a field that is no file.")
    max_text: int = option(1024 * 1024, "Bytes of all fields of a form that are no files.")
    max_head: int = option(4096, "Bytes of the header fields of a file or field.")
    memory: int = option(64 * 1024, "Bytes of a file up to which it is kept in memory; a larger one goes to a temporary file.")
    folder: str = option("", "Folder for temporary files; by default the system's.")
    disk: int = option(
        4 * 1024 * 1024 * 1024, "Bytes of the temporary files of a worker at a time; beyond, clients are told to come back later (503)."
    )


@dataclass(frozen=True)
class SessionSettings:
    """``[servers.NAME.session]``"""

    driver: str = option(
        "", "Where sessions are kept: memory (of one worker), file, or the driver of a component; by default there are none."
    )
    folder: str = option("", "Folder of the file driver, which only this application uses.")
    lifetime: float = option(30 * 24 * 3600.0, "Seconds after which a session ends in any case.")
    idle: float = option(24 * 3600.0, "Seconds after which a session that nobody used ends; 0 means with its lifetime.")
    max_size: int = option(64 * 1024, "Bytes of a session.")
    max_sessions: int = option(10_000, "Sessions that the memory driver keeps; beyond, the one that was not used for longest ends.")
    max_files: int = option(100_000, "Sessions that the file driver keeps, or about so many; beyond, those go that would end first.")
    prefix: str = option("", "Name below which all values of this server stand, where several share their sessions.")
    collect: float = option(0.01, "Probability that a request is followed by removing some of the sessions that are over.")
    cookie: str = option("session", "Name of the cookie; __Host- in front of it makes browsers watch over it.")
    persistent: bool = option(False, "The cookie stays when the browser is closed, as long as the session.")
    same_site: Literal["strict", "lax", "none"] = option("lax", "Whether other sites' requests bring the cookie: strict, lax or none.")
    secure: Literal["auto", "always", "never"] = option(
        "auto", "Send the cookie over encrypted connections only: auto (when it was set over one), always or never."
    )
    http_only: bool = option(True, "Hide the cookie from scripts.")
    path: str = option("/", "Path below which the cookie is sent.")
    domain: str = option("", "Domain whose hosts all get the cookie; by default this host alone.")


@dataclass(frozen=True)
class CsrfSettings:
    """``[servers.NAME.csrf]``: requests that pages of other sites make in the name of their visitors."""

    check: Literal["auto", "always", "never"] = option("auto", "Refuse them (403): auto (where there are sessions), always or never.")
    origins: list[str] = option([], "Other sites whose pages may make them: https://shop.example.")
    exempt: list[str] = option([], "Paths that are not checked; with * at the end all that begin so: /hooks/*.")
    token: bool = option(False, "Ask for the token also where the browser says whose page it is.")
    header: str = option("X-CSRF-Token", "Field that carries the token.")
    field: str = option("csrf_token", "Field of a form that carries the token.")
    cookie: str = option("csrf", "Name of the cookie that has the client's secret where there are no sessions.")


@dataclass(frozen=True)
class UserSettings:
    """Somebody who shows a password (HTTP Basic)."""

    password: str = option(doc="What greenimi.web.hash_password made of the password.")
    roles: list[str] = option([], "Roles of this user.")


@dataclass(frozen=True)
class KeySettings:
    """A program that shows a key."""

    digest: str = option(doc="What greenimi.web.hash_key made of the key.")
    roles: list[str] = option([], "Roles of who shows it.")


@dataclass(frozen=True)
class IdentitySettings:
    """How a server finds out who is calling.  What conf says comes before the beans marked @authenticator."""

    default: Literal["public", "required"] = option("public", "Handlers that say nothing about it: public, or required as by @requires().")
    authenticators: list[str] = option([], "Authenticators in the order they are asked: package.module:Class.")
    session: bool = option(False, "Believe the session that somebody logged in with.")
    keys: dict[str, KeySettings] = option({}, "API keys, by the id of who shows them.")
    key_header: str = option("X-API-Key", "Field that carries an API key.")
    key_query: str = option("", "Parameter of the query that may carry it instead; empty: none may, since logs keep addresses.")
    users: dict[str, UserSettings] = option({}, "Users with passwords (HTTP Basic), by name.")
    realm: str = option("greenimi", "What clients are told that they need credentials for.")


@dataclass(frozen=True)
class CorsSettings:
    """Which other sites' pages may use a server; without origins none may."""

    origins: list[str] = option([], "https://shop.example, https://*.shop.example, a regular expression between slashes, or * for any.")
    methods: list[str] = option(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], "Methods that they may use.")
    headers: list[str] = option(["Content-Type", "Authorization"], "Fields that they may send; * for any.")
    expose: list[str] = option([], "Fields of answers that they may read besides the common ones.")
    credentials: bool = option(False, "Their requests may carry cookies and passwords; not for the origin *.")
    max_age: int = option(600, "Seconds that a browser may remember what it was told.")
    private_network: bool = option(False, "Pages of the internet may use this server within a private network.")


@dataclass(frozen=True)
class SecuritySettings:
    """Fields that tell browsers to be careful."""

    enabled: bool = option(False, "Send them; a handler's own field of the same name stands.")
    frames: str = option("'none'", "Who may show pages in a frame: 'none', 'self' or sites, as in frame-ancestors; empty: anybody.")
    referrer: str = option("strict-origin-when-cross-origin", "Referrer-Policy; empty: none.")
    opener: str = option("same-origin", "Cross-Origin-Opener-Policy; empty: none.")
    resource: str = option("same-origin", "Cross-Origin-Resource-Policy; empty: none.")
    content: str = option("", "Content-Security-Policy; {nonce} in it is another one for each request.")
    permissions: str = option("", "Permissions-Policy, such as camera=(), geolocation=().")
    hsts: int = option(31536000, "Seconds that browsers are to use TLS only, told over TLS; 0: not told.")
    hsts_subdomains: bool = option(False, "And for all sub-domains.")


@dataclass(frozen=True)
class RequestIdSettings:
    """An id for each request, in its answer and in the log."""

    enabled: bool = option(False, "Give each request an id.")
    header: str = option("X-Request-ID", "Field of the answer; of a request too where a trusted proxy sends it.")


@dataclass(frozen=True)
class AccessLogSettings:
    """A line for each request."""

    format: Literal["", "common", "combined", "json"] = option("", "common, combined or json; empty: no access log.")
    path: str = option("", "File that it is written to; empty: the log, in the channel greenimi.access.")
    capacity: int = option(10_000, "Lines that may wait to be written to the file; beyond, the oldest are lost and counted.")


@dataclass(frozen=True)
class ErrorPageSettings:
    """Pages that browsers are shown instead of problem+json."""

    folder: str = option("", "Folder with 404.html, 5xx.html, ...; empty: none.")


@dataclass(frozen=True)
class StaticSettings:
    """A folder of files at a path."""

    folder: str = option(doc="Folder whose files are served.")
    index: list[str] = option(["index.html"], "Files that stand for their folder, the first that is there; none: folders are not found.")
    max_age: int = option(0, "Seconds that clients may keep a file without asking again; 0: they ask each time whether it changed.")
    immutable: bool = option(False, "Within max_age they need not even ask when reloading: for files whose names change with them.")
    dotfiles: bool = option(False, "Serve files and folders whose names begin with a dot.")
    symlinks: bool = option(False, "Follow symbolic links that stay in the folder.")
    precompressed: bool = option(False, "Where FILE.br, FILE.zst or FILE.gz is there, send that to clients that take it.")
    types: dict[str, str] = option({}, "Content types by the ending of the name, such as .log = text/plain.")
    headers: dict[str, str] = option({}, "Further fields of the answers.")


@dataclass(frozen=True)
class CompressionSettings:
    """Bodies of answers in a content coding that the client takes."""

    enabled: bool = option(False, "Compress answers; see docs/responses.md for what that may give away.")
    codings: list[str] = option([], "zstd, br and gzip, the best first; by default those that are installed.")
    level: int = option(5, "From 1 (fast) to 9 (small).")
    minimum: int = option(1024, "Bytes below which a body is sent as it is.")
    types: list[str] = option(
        [
            "text/*",
            "application/javascript",
            "application/json",
            "application/*+json",
            "application/xml",
            "application/*+xml",
            "image/svg+xml",
        ],
        "Content types that are compressed.",
    )
    requests: bool = option(False, "Take bodies of requests in gzip; otherwise they are handed on as they are.")
    ratio: int = option(100, "Bytes that one byte of such a body may become; more is taken for a bomb (413).")


@dataclass(frozen=True)
class ViewSettings:
    """What the values of handlers without a @view become."""

    kinds: list[str] = option([], "json, xml, text, msgpack, html: what a client may choose from by Accept; empty: JSON, whatever it says.")
    xml_root: str = option("response", "Name of the outermost element of XML.")


@dataclass(frozen=True)
class TemplateSettings:
    """Templates of a server, rendered by Jinja2."""

    folders: list[str] = option([], "Folders of templates; the first that has one of a name wins.  None: there are no templates.")
    cache: str = option("", "Folder for compiled templates, which only this application may write to; empty: each worker compiles its own.")
    reload: bool = option(False, "Look for changed files at each use; always so with app.debug.")


@dataclass(frozen=True)
class Http2Settings:
    """``[servers.NAME.http2]``"""

    enabled: bool = option(True, "Speak HTTP/2 with clients that want to: by ALPN with TLS, by its preface without.")
    upgrade: bool = option(False, "Also when an HTTP/1.1 request asks for it (Upgrade: h2c), which new clients do not do any more.")
    streams: int = option(128, "Requests of one connection at the same time; further ones are refused, for the client to send again.")
    window: int = option(256 * 1024, "Bytes of one request's body that a client may send ahead of its handler; 65535 at least.")
    connection_window: int = option(2 * 1024 * 1024, "The same of all requests of a connection together.")
    unrest: int = option(
        1000, "Frames of a connection that lead to nothing (pings, settings, resets); a tenth is forgotten each second.  Over it: GOAWAY."
    )
