"""Applications of other kinds inside ours: WSGI at a path, WebSockets as gevent-websocket has them."""
