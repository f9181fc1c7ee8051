from __future__ import annotations

from pathlib import Path

import pytest

from local_llm.gguf import NoModel, find_model

HEADER = b"GGUF" + (3).to_bytes(4, "little") + bytes(16)


def test_the_first_gguf_by_name_is_served_unless_one_is_named(tmp_path: Path) -> None:
    for name in ("b.gguf", "a.gguf", "notes.txt"):
        (tmp_path / name).write_bytes(HEADER)
    assert find_model(tmp_path).name == "a.gguf"
    assert find_model(tmp_path, "b.gguf").name == "b.gguf"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04" + bytes(40), r"broken\.gguf is not a GGUF file"),
        (b"", r"broken\.gguf is not a GGUF file"),
        (HEADER[:10], r"broken\.gguf is cut off after 10 bytes"),
        (b"GGUF" + (1).to_bytes(4, "little") + bytes(16), "GGUF version 1, not 2 or 3"),
    ],
)
def test_what_is_no_gguf_is_named_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "broken.gguf").write_bytes(content)
    with pytest.raises(NoModel, match=said) as problem:
        find_model(tmp_path)
    assert "\n" not in str(problem.value)


def test_says_what_to_do_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(NoModel, match="put a GGUF file into"):
        find_model(tmp_path)
    with pytest.raises(NoModel, match="put a GGUF file into"):
        find_model(tmp_path / "absent")
    with pytest.raises(NoModel, match=r"there is no big\.gguf in"):
        find_model(tmp_path, "big.gguf")
