"""RabbitMQ.  Its start takes seconds, so one test sees all there is."""

from __future__ import annotations

import socket
from pathlib import Path

from greenimi.testing.services.processes import wait_for
from greenimi.testing.services.rabbitmq import RabbitMQ


def test_a_private_node_that_is_gone_afterwards(rabbitmq: RabbitMQ) -> None:
    assert rabbitmq.url == f"amqp://{rabbitmq.user}:{rabbitmq.password}@127.0.0.1:{rabbitmq.port}/"
    with socket.create_connection((rabbitmq.host, rabbitmq.port)) as client:
        client.sendall(b"AMQP\x00\x00\x09\x01")
        assert client.recv(7)[:3] == b"\x01\x00\x00"  # Connection.Start, on channel 0
    node, mapper = rabbitmq.process, rabbitmq.processes[0]
    assert node is not None
    assert Path(f"/proc/{node.id.pid}/comm").read_text() == "beam.smp\n"  # no shell in between
    assert Path(f"/proc/{mapper.id.pid}/comm").read_text() == "epmd\n"
    rabbitmq.kill()
    assert wait_for(lambda: not node.id.alive and not mapper.id.alive, 10)
    assert rabbitmq.processes == []
