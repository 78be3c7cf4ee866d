from __future__ import annotations

import http.server
import socket
import threading
import time

from libs.cli.after_gateway import wait_for


class Answers(http.server.BaseHTTPRequestHandler):
    statuses: list[int]

    def do_GET(self) -> None:
        self.send_response(self.statuses.pop(0))
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def test_it_waits_until_the_gateway_is_ready() -> None:
    Answers.statuses = [503, 503, 200]
    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as gateway:
        threading.Thread(target=gateway.serve_forever, daemon=True).start()
        assert wait_for("127.0.0.1", gateway.server_address[1], patience_s=30)
        gateway.shutdown()
    assert Answers.statuses == []


def test_without_a_gateway_it_waits_no_longer_than_its_patience() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    began = time.monotonic()
    assert not wait_for("127.0.0.1", port, patience_s=0.3)
    assert time.monotonic() - began >= 0.3
