"""Return codes of the two paths: counts are >= 0, the rest are negated `SSL_get_error(3)` results.

Inside the package a want is a return value, not an exception: raising costs as much as the read itself.
"""

from __future__ import annotations

from typing import Final

#: More ciphertext is needed from the peer.
WANT_READ: Final = -2

#: Output must be taken by the carrier before the call is repeated.
WANT_WRITE: Final = -3

#: The peer closed its side with close_notify.
ZERO_RETURN: Final = -6

#: A record that is not application data was opened: see `content_type` and `fragment`.
CONTROL: Final = -7
