"""A client's verdict on a server's chain, as its configuration has it: one for both versions, and for sessions."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from tlswrite.config import ClientConfig
from tlswrite.crypto import x509
from tlswrite.crypto.trust import TrustAnchors, VerifiedChain

__all__ = ["verify_server"]


def verify_server(
    config: ClientConfig, chain: Sequence[bytes], server_hostname: str | None
) -> VerifiedChain | None:
    """The path by which a chain (DER form, end-entity certificate first) verifies; None where nothing is verified.

    Raises CertificateError with the alert of the reason.
    """
    if config.verify_mode == ssl.CERT_NONE:
        return None
    anchors = TrustAnchors.system() if config.trust_anchors is None else config.trust_anchors
    return x509.verify_server(chain, anchors, server_hostname if config.check_hostname else None)
