"""For code written against `ssl`: a context that passes for `ssl.SSLContext`, and what it makes.

| file | what is in it |
|---|---|
| context | `SSLContext`, `create_default_context` |
| plain | the settings that the standard library's own context holds |
| settings | what a context's attributes mean as a `ClientConfig` or a `ServerConfig` |
| loading | certificates, keys and anchors as `ssl` takes them |
| names | OpenSSL's names of suites, groups and signature schemes |
| connection | a connection that knows its context; the SNI callback |
| face | a connection as `ssl.SSLObject` sees it |
| keylog, stats | `keylog_filename`, `session_stats` |
| sslsocket | an `ssl.SSLSocket` on the blocking carrier |
| installed | a context for programs that do not know of this package, with OpenSSL to fall back to |
"""

from __future__ import annotations

from tlswrite.stdlib.context import SSLContext, create_default_context
from tlswrite.stdlib.installed import InstalledContext, StaysOnOpenSSLWarning
from tlswrite.stdlib.sslsocket import SSLSocket

__all__ = ["InstalledContext", "SSLContext", "SSLSocket", "StaysOnOpenSSLWarning", "create_default_context"]
