"""Counts of handshakes."""

from __future__ import annotations

from tlswrite.stdlib.stats import Stats


def test_a_handshake_counts_once_by_what_it_was() -> None:
    stats = Stats()
    stats.completed(again=False, reused=False)
    stats.completed(again=False, reused=True)
    stats.completed(again=True, reused=True)
    assert (stats.complete, stats.renegotiated, stats.hits) == (2, 1, 1)
