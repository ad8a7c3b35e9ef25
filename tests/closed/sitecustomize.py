"""Put first on PYTHONPATH by the tests: none of their processes, kernels included, gets outside.

Connections to this machine itself stay open, for Jupyter needs them.
"""

import socket

_LOCAL = ("127.", "::1", "localhost")


def _closed(method):
    def call(self, address, *rest):
        host = address[0] if isinstance(address, tuple) else ""
        if isinstance(address, tuple) and not str(host).startswith(_LOCAL):
            raise OSError(f"the tests run offline, but a connection to {host!r} was asked for")
        return method(self, address, *rest)

    return call


socket.socket.connect = _closed(socket.socket.connect)
socket.socket.connect_ex = _closed(socket.socket.connect_ex)
