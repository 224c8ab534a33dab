from __future__ import annotations

import pytest

from benchmarks.resumption import Resumed
from benchmarks.variants import VARIANTS, Identity, Unsupported, Variant
from tests.benchmarks.conftest import carry_out, every_variant


@every_variant
def test_it_resumes_or_says_that_it_cannot(variant: Variant, identity: Identity) -> None:
    if variant.library.can_resume:
        carry_out(Resumed(0), variant, identity)
    elif variant.missing() is None:
        with pytest.raises(Unsupported, match="cannot resume"):
            carry_out(Resumed(0), variant, identity)


@pytest.mark.parametrize("name", ["ssl/asyncio", "tlswrite/asyncio"])
def test_a_full_handshake_is_noticed(name: str, identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without tickets there is nothing to resume.
    variant = next(each for each in VARIANTS if each.name == name)
    monkeypatch.setattr(Resumed, "resumes", False)
    with pytest.raises(Unsupported, match="did not resume"):
        carry_out(Resumed(0), variant, identity)


def test_a_full_handshake_among_the_measured_is_noticed(identity: Identity) -> None:
    bed = VARIANTS[0].open(identity)
    try:
        session = bed.run(Resumed(0).start(bed))
        with pytest.raises(RuntimeError, match="a handshake was a full one"):
            bed.run(session.run(1))
    finally:
        bed.close()
