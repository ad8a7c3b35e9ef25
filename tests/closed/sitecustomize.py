"""Put first on PYTHONPATH by the tests: none of their Python processes connects to the outside.

Connections to this machine itself stay open, for Jupyter needs them.
"""

import socket


def _is_local(host):
    return host in ("localhost", "::1") or (host.startswith("127.") and host.count(".") == 3)


def _closed(method):
    def call(self, address, *rest):
        host = address[0] if isinstance(address, tuple) else ""
        if isinstance(address, tuple) and not _is_local(str(host)):
            raise OSError(f"the tests run offline, but a connection to {host!r} was asked for")
        return method(self, address, *rest)

    return call


socket.socket.connect = _closed(socket.socket.connect)
socket.socket.connect_ex = _closed(socket.socket.connect_ex)
