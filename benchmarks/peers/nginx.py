"""nginx with one worker: answers GET /hello/{name} by itself, has files at /files/; becomes nginx.

Arguments: port, and certificate and key for TLS.
"""

from __future__ import annotations

import os
import sys

from benchmarks.paths import BUILD, FILES, NGINX

CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{
    worker_connections 16384;
}}
http {{
    access_log off;
    sendfile on;
    keepalive_timeout 120s;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port}{ssl} backlog=2048;
{tls}
        default_type application/json;
        location ~ "^/hello/(?<name>\\w+)$" {{
            return 200 '{{"hello":"$name"}}';
        }}
        location /files/ {{
            alias {files}/;
        }}
    }}
}}
"""

TLS = """\
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache off;
        ssl_session_tickets off;
"""


def main() -> None:
    port, *pair = sys.argv[1:]
    folder = BUILD / f"nginx-{port}"
    folder.mkdir(parents=True, exist_ok=True)
    tls = TLS.format(certificate=pair[0], key=pair[1]) if pair else ""
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, files=FILES, port=port, ssl=" ssl" if pair else "", tls=tls))
    os.execv(NGINX, [str(NGINX), "-e", "stderr", "-p", str(folder), "-c", str(config)])


if __name__ == "__main__":
    main()
