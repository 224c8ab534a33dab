"""The first ClientHello leaves in a record of the initial version, what follows in records of TLS 1.2."""

from __future__ import annotations

from tests.support.engine import client_config
from tests.support.handshakes import Recorder
from tlswrite.handshake.entropy import SYSTEM
from tlswrite.handshake.offer import make_offer
from tlswrite.handshake.opening import send_client_hello
from tlswrite.record.protection import NullSealer


def test_the_hello_is_sent_between_two_record_versions() -> None:
    # RFC 9846 §5.1: 0x0301 for an initial ClientHello, 0x0303 for everything else.
    io = Recorder()
    offer = make_offer(client_config(), "localhost", SYSTEM)
    send_client_hello(io, offer)
    assert io.log == ["write key", "client_hello", "write key"]
    assert io.take() == [offer.message]
    versions = [sealer.legacy_version for sealer in io.sealers if isinstance(sealer, NullSealer)]
    assert versions == [0x0301, 0x0303]
    assert io.ccs_allowed == [True]
