import errno
import socket

import pytest

from broker.errors import MisconfiguredError, PortTakenError
from broker.ports import check_free, draw, refusal


def test_a_taken_port_is_refused_and_free_again_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port} .* KAFKA_PORT"):
            check_free("127.0.0.1", port, "KAFKA_PORT")
    check_free("127.0.0.1", port, "KAFKA_PORT")


def test_a_foreign_address_is_told_as_such() -> None:
    with pytest.raises(MisconfiguredError, match=r"KAFKA_HOST=192\.0\.2\.1 is no address of this machine"):
        check_free("192.0.2.1", 0, "KAFKA_PORT")


def test_a_host_that_nobody_knows_is_told_as_such() -> None:
    for code in (-2, 8):  # EAI_NONAME of Linux and of macOS; as socket.create_server tells it
        error = OSError(code, "Name or service not known (while attempting to bind on address ('kafak', 0))")
        assert str(refusal(error, "kafak", 0, "KAFKA_PORT")) == (
            "KAFKA_HOST=kafak is no address of this machine (Name or service not known)"
        )
    with pytest.raises(MisconfiguredError, match=r"KAFKA_HOST=a\.\.b is no address [^(]*\((?!Unknown error)"):
        check_free("a..b", 0, "KAFKA_PORT")


def test_drawn_ports_differ_and_are_free() -> None:
    first, second = draw("127.0.0.1", 2)
    assert first != second
    check_free("127.0.0.1", first, "KAFKA_PORT")


def test_a_port_that_is_not_permitted_is_not_called_taken() -> None:
    assert "port 80 is not permitted to this user: set KAFKA_PORT" in str(
        refusal(PermissionError(errno.EACCES, "Permission denied"), "127.0.0.1", 80, "KAFKA_PORT")
    )
