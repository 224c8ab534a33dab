"""TLS for asyncio: transports, servers and streams over the engine.

| file | what is in it |
|---|---|
| transport | `Transport`: what the application has of a connection |
| core | behind it: handshake, orderly close, extra info |
| write_side, sending | writing: gathering, backlog, awaited writes |
| read_side | reading: shared buffers, pausing, BufferedProtocol |
| lifecycle, linger | the socket's registrations, errors, end |
| flow | watermarks |
| buffers | the buffers that a loop's connections share |
| settings | what `ssl=` and its companions mean |
| connect | `create_connection` and its relatives |
| server | `Server`, `create_server` and its relatives |
| streams | `open_connection`, `start_server` and the unix pair |
| upgrade, layered, pipe | TLS on a connection that exists; over any transport |
| sendfile | `loop.sendfile` |
| loop | event loops that make all these by their own methods |
"""

from tlswrite.asyncio.connect import connect_accepted_socket, create_connection, create_unix_connection
from tlswrite.asyncio.loop import new_event_loop, run
from tlswrite.asyncio.sending import Sending
from tlswrite.asyncio.server import Server, create_server, create_unix_server
from tlswrite.asyncio.streams import open_connection, open_unix_connection, start_server, start_unix_server
from tlswrite.asyncio.transport import Transport
from tlswrite.asyncio.upgrade import start_tls

__all__ = [
    "Sending",
    "Server",
    "Transport",
    "connect_accepted_socket",
    "create_connection",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "new_event_loop",
    "open_connection",
    "open_unix_connection",
    "run",
    "start_server",
    "start_tls",
    "start_unix_server",
]
