"""The servers greenimi is compared with: each as small as its own documentation would write it.

HTTP: GET /hello/{name} answers {"hello": name}.  WebSocket: /ws sends every text back, /fan to all of its clients.
Line and datagram: everything is sent back.
"""
