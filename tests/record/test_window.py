"""Send windows and their pool."""

from __future__ import annotations

from tlswrite import limits
from tlswrite.record import window
from tlswrite.record.window import Window, whole_records


def test_the_slots_are_the_whole_records_of_a_window() -> None:
    made = Window()
    assert len(made.view) == limits.SEND_WINDOW
    size = limits.MAX_PLAINTEXT + limits.RECORD_OVERHEAD
    assert list(made.slots) == [at * size for at in range(limits.WINDOW_RECORDS)]
    for at, slots in made.slots.items():
        assert slots == made.slots[0][at // size :]
        header, content, inner, fragment = slots[0]
        assert [len(part) for part in (header, content, inner, fragment)] == [5, 16384, 16385, 16401]
        header[:] = b"hhhhh"
        fragment[-1] = 1
        inner[-1] = 2
        content[0] = 3
        record = made.view[at : at + size]
        assert (bytes(record[:5]), record[5], record[16389], record[-1]) == (b"hhhhh", 3, 2, 1)


def test_whole_records_lie_back_to_back() -> None:
    size = limits.MAX_PLAINTEXT + limits.RECORD_OVERHEAD
    view = memoryview(bytearray(3 * size - 1))
    for number, slot in enumerate(whole_records(view, 2), 1):
        for part in slot:
            part[:] = bytes([number]) * len(part)
    assert bytes(view) == b"\1" * size + b"\2" * size + bytes(size - 1)


def test_the_pool_keeps_a_few() -> None:
    window._spare.clear()
    made = [window.acquire() for _ in range(limits.SPARE_WINDOWS + 2)]
    assert len({id(each) for each in made}) == len(made)
    for each in made:
        window.release(each)
    assert window._spare == made[: limits.SPARE_WINDOWS]
    assert window.acquire() is made[limits.SPARE_WINDOWS - 1]
