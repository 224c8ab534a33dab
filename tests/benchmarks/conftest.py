"""A workload carried out once on a variant, and what that needs."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.variants import VARIANTS, Bed, Identity, Variant, make_identity
from benchmarks.workloads import Workload

every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return make_identity(tmp_path_factory.mktemp("identity"))


def carry_out(workload: Workload, variant: Variant, identity: Identity) -> None:
    """Start, verify, run and close it; the variant must be there."""
    if variant.missing() is not None:
        pytest.skip(f"{variant.missing()} is not installed")

    async def scenario(bed: Bed) -> None:
        session = await workload.start(bed)
        await session.verify()
        await session.run(1)
        await session.run(3)
        await session.close()

    bed = variant.open(identity, resume=workload.resumes)
    try:
        bed.run(asyncio.wait_for(scenario(bed), 30))
    finally:
        bed.close()
