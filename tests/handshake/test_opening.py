"""The first ClientHello leaves in a record of the initial version, what follows in records of TLS 1.2."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.engine import BOTH, ONLY_1_2, client_config
from tests.support.handshakes import Recorder
from tlswrite.handshake.entropy import SYSTEM
from tlswrite.handshake.offer import make_offer
from tlswrite.handshake.opening import START, WAIT_SH, send_client_hello
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


@pytest.mark.parametrize("fields", [ONLY_1_2, BOTH], ids=["1.2", "both"])
def test_a_hello_for_tls_1_2_leaves_in_the_same_way(fields: dict[str, Any]) -> None:
    # RFC 5246 §E.1: the record version of a first ClientHello is the lowest that servers take.
    io = Recorder()
    send_client_hello(io, make_offer(client_config(**fields), "localhost", SYSTEM))
    versions = [sealer.legacy_version for sealer in io.sealers if isinstance(sealer, NullSealer)]
    assert versions == [0x0301, 0x0303]
    # Which version it will be is not known yet.
    assert (io.tls12, io.ccs_allowed) == (False, [True])


def test_the_states_that_wait_for_a_hello() -> None:
    # RFC 9846 §A.1, §A.2.
    assert repr(START) == "Wait(START: CLIENT_HELLO)"
    assert repr(WAIT_SH) == "Wait(WAIT_SH: SERVER_HELLO)"
    assert START.ignored == WAIT_SH.ignored == ()
