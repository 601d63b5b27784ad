"""What a socket goes through before it is a connection: a PROXY header, a TLS handshake."""
