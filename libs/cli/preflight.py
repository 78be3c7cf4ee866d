"""
``python -m libs.cli.preflight NAME=PORT...``: say which ports are taken before anything is started.

NAME is the variable of `make run` that moves the port.
"""

import socket
import sys


def is_taken(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could not listen there now."""
    try:
        socket.create_server((host, port)).close()
    except OSError:
        return True
    return False


def main(arguments: list[str]) -> int:
    """Return 0 if every port is free, else 1 after a line for each that is not."""
    code = 0
    for argument in arguments:
        variable, _, port = argument.partition("=")
        if not port.isdecimal():
            sys.stderr.write(f"{variable} must be a port number, not {port!r}\n")
            code = 1
        elif is_taken(int(port)):
            sys.stderr.write(
                f"port {port} is taken: stop what uses it (another bookrunner?), "
                f"or choose another one: make run {variable}={int(port) + 10}\n"
            )
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
