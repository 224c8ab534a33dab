"""The client's handshake against the RFC's figures: waits, keys, results."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from tests.support import pki
from tests.support.engine import HOST, anchors, client_config, credentials, server_config
from tests.support.handshakes import (
    CCS,
    CH,
    CR,
    CT,
    CV,
    EE,
    FIN,
    SH,
    Handshake,
    Recorder,
    Side,
    client_refuses,
    open_record,
)
from tlswrite.errors import (
    CertificateError,
    UnexpectedMessage,
)
from tlswrite.handshake.entropy import SYSTEM
from tlswrite.handshake.offer import make_offer
from tlswrite.iana import (
    CipherSuite,
    HandshakeType,
    NamedGroup,
    ProtocolVersion,
)
from tlswrite.negotiate import client_handshake
from tlswrite.record.protection import NullSealer
from tlswrite.tls13.client import ClientHandshake

P256 = (NamedGroup.secp256r1,)
#: A server that answers the default client's x25519 share with a request for P-256.
BOTH = (NamedGroup.x25519, NamedGroup.secp256r1)


# ---- the figures ------------------------------------------------------------------------------------


def test_the_waits_are_those_of_the_figure() -> None:
    run = Handshake()
    assert run.complete
    assert run.client.waits == ["WAIT_SH", "WAIT_EE", "WAIT_CERT_CR", "WAIT_CV", "WAIT_FINISHED"]
    assert run.client.io.log == [
        "write key",
        "client_hello",
        "write key",
        "read key",
        CCS,
        "write key",
        "read key",
        "finished",
        "write key",
        "complete",
    ]


def test_the_waits_with_retry_and_client_authentication_are_those_of_the_figure() -> None:
    run = Handshake(
        client_config(groups=BOTH, credentials=credentials(client=True)),
        server_config(groups=P256, verify_mode=ssl.CERT_REQUIRED, trust_anchors=anchors()),
    )
    assert run.complete
    assert run.client.waits == [
        "WAIT_SH",
        "WAIT_SH",
        "WAIT_EE",
        "WAIT_CERT_CR",
        "WAIT_CERT",
        "WAIT_CV",
        "WAIT_FINISHED",
    ]
    assert run.client.io.log == [
        "write key",
        "client_hello",
        "write key",
        CCS,
        "client_hello",
        "read key",
        "write key",
        "read key",
        "certificate",
        "certificate_verify",
        "finished",
        "write key",
        "complete",
    ]


@pytest.mark.parametrize(
    ("step", "waits"),
    [
        (ClientHandshake.receive_encrypted_extensions, ["WAIT_EE"]),
        (ClientHandshake.receive_server_identity, ["WAIT_CERT_CR"]),
    ],
)
def test_each_step_can_be_started_alone(step: Any, waits: list[str]) -> None:
    io = Recorder()
    config = client_config()
    client = ClientHandshake(io, config, HOST, SYSTEM, make_offer(config, HOST, SYSTEM))
    side = Side(io, step(client))
    side.start()
    assert side.waits == waits


@pytest.mark.parametrize(
    "kind", [CH, EE, CR, CT, CV, FIN, HandshakeType.KEY_UPDATE, HandshakeType.HELLO_REQUEST]
)
def test_what_is_no_server_hello_is_refused_in_wait_sh(kind: HandshakeType) -> None:
    # RFC 9846 §4: a message in an unexpected order: "unexpected_message".
    io = Recorder()
    side = Side(io, client_handshake(io, client_config(), HOST))
    side.start()
    side.receive(bytes((kind, 0, 0, 0)))
    assert type(side.error) is UnexpectedMessage
    assert f"{kind.name.lower()} received in state WAIT_SH" in side.error.message


def test_a_key_update_before_finished_is_unexpected() -> None:
    # RFC 9846 §4.7.3: prior to receiving a Finished: "unexpected_message".
    def edit(_: str, raw: bytes) -> list[bytes]:
        return [b"\x18\0\0\1\0", raw] if raw[0] == FIN else [raw]

    client_refuses(edit, UnexpectedMessage, "key_update received in state WAIT_FINISHED")


def test_an_end_of_early_data_is_unexpected() -> None:
    # RFC 9846 §4.6: clients receiving it MUST terminate with "unexpected_message".
    def edit(_: str, raw: bytes) -> list[bytes]:
        return [b"\x05\0\0\0", raw] if raw[0] == FIN else [raw]

    client_refuses(edit, UnexpectedMessage, "end_of_early_data")


def test_a_second_certificate_request_is_unexpected() -> None:
    def edit(_: str, raw: bytes) -> list[bytes]:
        return [raw, raw] if raw[0] == CR else [raw]

    server = server_config(verify_mode=ssl.CERT_OPTIONAL, trust_anchors=anchors())
    client_refuses(edit, UnexpectedMessage, "certificate_request received in state WAIT_CERT", server=server)


# ---- keys, compatibility mode, initial record version ----------------------------------------------


def test_the_initial_client_hello_has_record_version_1_0_and_nothing_else_has() -> None:
    # RFC 9846 §5.1: SHOULD be 0x0301 for an initial ClientHello, 0x0303 for the rest.
    run = Handshake(client_config(groups=BOTH), server_config(groups=P256))
    first, second = run.client.io.sealers[:2]
    assert isinstance(first, NullSealer) and isinstance(second, NullSealer)
    assert (first.legacy_version, second.legacy_version) == (0x0301, 0x0303)
    assert run.client.io.log[:3] == ["write key", "client_hello", "write key"]


def test_without_compatibility_mode_there_is_neither_session_id_nor_ccs() -> None:
    # RFC 9846 §4.2.2: otherwise it MUST be set as a zero-length list; §E.4.
    run = Handshake(client_config(middlebox_compatibility=False))
    assert run.complete
    assert run.sent("client", CH)[0].session_id == b""
    assert CCS not in run.client.io.log + run.server.io.log
    retried = Handshake(client_config(middlebox_compatibility=False, groups=BOTH), server_config(groups=P256))
    assert retried.complete
    assert CCS not in retried.client.io.log + retried.server.io.log


def test_in_compatibility_mode_the_session_id_is_new_and_echoed_and_ccs_is_taken() -> None:
    runs = Handshake(), Handshake()
    ids = [run.sent("client", CH)[0].session_id for run in runs]
    assert [len(each) for each in ids] == [32, 32]
    assert ids[0] != ids[1]
    assert runs[0].sent("server", SH)[0].session_id == ids[0]
    assert runs[0].client.io.ccs_allowed == [True]


def test_both_ends_have_the_same_keys() -> None:
    run = Handshake()
    for sealer, opener in (
        (run.client.io.sealers[-1], run.server.io.openers[-1]),
        (run.server.io.sealers[-1], run.client.io.openers[-1]),
    ):
        assert open_record(opener, sealer.seal(23, b"data")) == (23, b"data")


def test_the_key_log_has_the_lines_of_an_nss_key_log() -> None:
    lines: dict[str, list[str]] = {"client": [], "server": []}
    run = Handshake(
        client_config(keylog=lines["client"].append), server_config(keylog=lines["server"].append)
    )
    assert run.complete
    assert lines["client"] == lines["server"]
    random = run.sent("client", CH)[0].random.hex()
    assert [line.split(" ")[0] for line in lines["client"]] == [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
        "EXPORTER_SECRET",
    ]
    assert {line.split(" ")[1] for line in lines["client"]} == {random}
    assert {len(line.split(" ")[2]) for line in lines["client"]} == {64}


# ---- the result -------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", list(CipherSuite)[1:4])
def test_every_suite(suite: CipherSuite) -> None:
    run = Handshake(client_config(cipher_suites=(suite,)))
    assert run.complete
    assert run.client.io.result is not None and run.client.io.result.suite.id == suite


@pytest.mark.parametrize("group", list(NamedGroup), ids=lambda group: group.name)
def test_every_group_at_once_and_after_a_retry(group: NamedGroup) -> None:
    if group is NamedGroup.x448:
        pytest.skip("x448 is not among the supported groups")
    run = Handshake(client_config(groups=(group,)), server_config(groups=(group,)))
    assert run.complete
    assert run.client.io.result is not None and run.client.io.result.group is group
    assert run.server.io.result is not None and run.server.io.result.group is group
    retried = Handshake(client_config(groups=(group,), key_shares=()), server_config(groups=(group,)))
    assert retried.complete
    assert retried.client.waits[:2] == ["WAIT_SH", "WAIT_SH"]
    assert retried.client.io.result is not None and retried.client.io.result.group is group


@pytest.mark.parametrize("key_type", pki.key_types())
def test_every_kind_of_certificate(key_type: str) -> None:
    run = Handshake(server=server_config(credentials=(credentials(key_type),)))
    assert run.complete, run.client.error
    facts, other = run.client.io.result, run.server.io.result
    assert facts is not None and other is not None
    assert facts.signature_scheme == other.local_signature_scheme
    assert facts.signature_scheme in credentials(key_type).schemes
    assert facts.peer_chain == credentials(key_type).chain
    assert other.local_certificate == facts.peer_chain[0]


def test_the_facts_on_both_sides() -> None:
    run = Handshake(
        client_config(alpn_protocols=("h2", "http/1.1"), credentials=credentials(client=True)),
        server_config(
            alpn_protocols=("http/1.1", "h2"), verify_mode=ssl.CERT_REQUIRED, trust_anchors=anchors()
        ),
    )
    client, server = run.client.io.result, run.server.io.result
    assert client is not None and server is not None
    assert client.version == server.version == ProtocolVersion.TLS_1_3
    assert client.alpn == server.alpn == "http/1.1"
    assert client.server_name == server.server_name == HOST
    assert client.local_certificate == server.peer_chain[0] == credentials(client=True).chain[0]
    assert client.local_signature_scheme == server.signature_scheme
    assert not client.session_reused
    assert "secret" not in repr(client)


def test_an_address_is_not_sent_as_a_name_and_still_verified() -> None:
    # RFC 6066 §3: literal addresses are not permitted.
    run = Handshake(hostname="127.0.0.1")
    assert run.complete
    assert run.server.io.result is not None and run.server.io.result.server_name is None
    wrong = Handshake(hostname="192.0.2.7")
    assert type(wrong.client.error) is CertificateError
