"""The class of the configuration tells the role."""

from __future__ import annotations

from tests.support.engine import client_config, server_config
from tlswrite.handshake.control import Control
from tlswrite.negotiate import negotiate
from tlswrite.record.receive import ReceivePath
from tlswrite.record.send import SendPath


def test_a_client_speaks_first_and_a_server_waits() -> None:
    control = Control(SendPath(), ReceivePath())
    control.start(negotiate(control, client_config(), "localhost"))
    assert control.state == "WAIT_SH"
    assert control.send_path.has_output
    control = Control(SendPath(), ReceivePath())
    control.start(negotiate(control, server_config(), None))
    assert control.state == "START"
    assert not control.send_path.has_output
