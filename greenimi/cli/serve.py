"""``greenimi serve``"""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from greenimi.cli.options import UsageError, add_conf, conf_file, config_arguments, positive, read_config

EXAMPLES = """
greenimi serve                                   conf/app.toml, with as many workers as it says
greenimi serve conf/app.toml --workers 4 --env production
greenimi serve --bind 0.0.0.0:8080               another address for the HTTP server
greenimi serve --bind web=:8080 --bind till=:9090
greenimi serve --set servers.web.idle=30         any key of the configuration
greenimi serve --reload                          one process, started again after every change of a file
greenimi serve --single                          one process; breakpoint() works, Ctrl-C stops it
"""


def arguments(parser: ArgumentParser) -> None:
    add_conf(parser)
    parser.add_argument("--workers", type=positive, metavar="N", help="worker processes (default: workers.count of conf)")
    parser.add_argument(
        "--bind",
        action="append",
        metavar="[SERVER=]ADDRESS",
        help="another address: HOST:PORT, [IPv6]:PORT or unix:PATH; with several servers say which; may be repeated",
    )
    parser.add_argument("--single", action="store_true", help="serve in this process, without workers")
    parser.add_argument("--reload", action="store_true", help="like --single, started again when a .py or .toml file or .env changes")
    parser.add_argument("--sockets", help=SUPPRESS)  # said by --reload to the process it starts: name=fd,name=fd


def run(options: Namespace) -> int:
    if options.workers and (options.single or options.reload):
        raise UsageError("serve: --single and --reload serve in one process; leave --workers out")
    settings = config_arguments(options)
    if options.bind:
        servers = read_config(options).section("servers")
        settings += [word for text in options.bind for word in ("--set", _bind(text, servers))]
    if options.reload:
        from greenimi.cli.supervisor import Supervisor

        return Supervisor(conf_file(options), settings).run()
    if options.single:
        from greenimi.cli import single

        return single.serve(conf_file(options), settings, single.inherited(options.sockets))
    if options.workers:
        settings += ["--set", f"workers.count={options.workers}"]
    from greenimi.deploy import Launcher

    Launcher(options.conf, settings).run()
    return 0


def _bind(text: str, servers: Mapping[str, Any]) -> str:
    """``[SERVER=]ADDRESS`` as an assignment to a key of the configuration."""
    name, equals, address = text.partition("=")
    if not equals:
        name, address = _only(servers), text
    if name not in servers:
        raise UsageError(f"serve: --bind {text}: there is no server {name}; servers of the application: {', '.join(servers) or 'none'}")
    return f"servers.{name}.bind={address}"


def _only(servers: Mapping[str, Any]) -> str:
    """The server that is meant when none is named: the only HTTP server, or the only one at all."""
    http = [name for name, table in servers.items() if not isinstance(table, dict) or table.get("kind", "http") == "http"]
    for names in (http, list(servers)):
        if len(names) == 1:
            return names[0]
    raise UsageError(f"serve: --bind: which server? Say --bind SERVER=ADDRESS; servers of the application: {', '.join(servers) or 'none'}")
