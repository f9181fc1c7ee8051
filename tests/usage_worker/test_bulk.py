"""COPY's text format. That rows arrive whole is shown in test_store on both databases."""

from __future__ import annotations

import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st

from usage_worker.bulk import NULL_MARK, copy_line

_fields = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from("\\\t\n\rN."), max_size=6)
)


def test_a_plain_row_and_one_with_every_special_character() -> None:
    assert copy_line((1, "plain", None, True)) == "1\tplain\tNone\tTrue\n"
    assert copy_line(("a\tb", "None", "\n", "\r", None)) == "a\\tb\t\\None\t\\n\t\\r\tNone\n"


@settings(max_examples=200)
@given(st.lists(st.tuples(_fields, _fields, _fields), min_size=1, max_size=5))
def test_unescaping_gives_the_row_back(rows: list[tuple[object, ...]]) -> None:
    lines = "".join(copy_line(row) for row in rows).split("\n")
    assert lines.pop() == ""
    escapes = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\", "N": "N"}

    def read(field: str) -> str | None:
        if field == NULL_MARK:
            return None
        parts = iter(field)
        return "".join(escapes[next(parts)] if part == "\\" else part for part in parts)

    assert [tuple(map(read, line.split("\t"))) for line in lines] == [
        tuple(None if value is None else str(value) for value in row) for row in rows
    ]


def test_postgres_reads_it_as_it_was_meant(postgres_url: str) -> None:
    rows = [
        ("a\tb\\", None, 1),
        ("\\N", "\n\r", 2),
        ("\\.", "", 3),
        ("가🙂\x01", "N", 4),
        ("None", "NoneNone", 5),
        ("\\None", None, 6),
    ]
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE t (a text, b text, c int)")
        with connection.cursor().copy(f"COPY t FROM STDIN (NULL '{NULL_MARK}')") as copy:
            copy.write("".join(copy_line(row) for row in rows))
        assert connection.execute("SELECT a, b, c FROM t ORDER BY c").fetchall() == rows
