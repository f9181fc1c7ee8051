from __future__ import annotations

import os
import threading
import time
import uuid

from gateway.ids import uuid7


def test_is_a_uuid_version_7_that_carries_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(uuid7())
    after = time.time_ns() // 1_000_000
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert before <= made.int >> 80 <= after + 1
    assert str(made) == str(made).lower()


def test_ids_of_one_process_are_distinct_and_ascend() -> None:
    made = [uuid7() for _ in range(50_000)]
    assert made == sorted(set(made))


def test_a_clock_that_jumps_back_does_not_turn_the_order_around() -> None:
    now = time.time_ns() + 3_600_000_000_000
    made = [uuid7(now), uuid7(now), uuid7(now - 3_600_000_000_000), uuid7(now - 1), uuid7(now + 1_000_000)]
    assert made == sorted(set(made))
    assert uuid.UUID(made[2]).int >> 80 == now // 1_000_000


def test_a_clock_that_was_days_ahead_for_a_moment_is_not_believed_for_ever() -> None:
    now, day = time.time_ns(), 86_400_000_000_000
    uuid7(now + 26 * day)
    made = [uuid7(now), uuid7(now), uuid7(now - 1)]
    assert {uuid.UUID(each).int >> 80 for each in made} == {now // 1_000_000}
    assert made == sorted(set(made))


def test_threads_never_get_the_same_id() -> None:
    made: list[list[str]] = [[] for _ in range(4)]

    def fill(into: list[str]) -> None:
        into.extend(uuid7() for _ in range(5_000))

    threads = [threading.Thread(target=fill, args=(into,)) for into in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = [one for some in made for one in some]
    assert len(set(every)) == len(every)


def test_a_forked_child_does_not_repeat_its_parents_ids() -> None:
    uuid7()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, uuid7().encode())
        os._exit(0)
    os.close(writer)
    mine = uuid7()
    theirs = os.read(reader, 100).decode()
    os.close(reader)
    os.waitpid(child, 0)
    assert mine[-16:] != theirs[-16:]
