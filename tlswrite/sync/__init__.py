"""The blocking carrier: TLS over a socket of the standard library, without asyncio.

* `carrier`: the engine on a socket: what moves bytes, and what waits
* `tlssocket`: `TLSSocket`, the interface that users of `ssl.SSLSocket` know
"""

from __future__ import annotations

from tlswrite.sync.tlssocket import TLSSocket

__all__ = ["TLSSocket"]
