"""Where randomness comes from."""

from __future__ import annotations

from tests.support.engine import credentials
from tlswrite.crypto.signatures import verify
from tlswrite.handshake.entropy import SYSTEM, Entropy
from tlswrite.iana import NamedGroup


def test_the_system_does_everything_anew() -> None:
    entropy: Entropy = SYSTEM
    assert len(entropy.random(32)) == 32
    assert entropy.random(32) != entropy.random(32)
    share = entropy.generate(NamedGroup.x25519)
    assert share.public != entropy.generate(NamedGroup.x25519).public
    public, secret = entropy.respond(NamedGroup.x25519, share.public)
    assert share.finish(public) == secret
    signer = credentials()
    signature = entropy.sign(signer.private_key, signer.schemes[0], b"data")
    verify(signer.private_key.public_key(), signer.schemes[0], signature, b"data")
