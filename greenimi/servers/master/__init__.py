"""The master process: sockets, workers, reloads, and what it tells systemd and operators."""
