from __future__ import annotations

from pathlib import Path

import gguf
import pytest

from local_llm.library import Library
from local_llm.settings import ServiceSettings
from tests.local_llm import tiny_gguf


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    tiny_gguf.write(path)
    return path.read_bytes()


def library(folder: Path, wanted: str | None = None) -> Library:
    found = Library(folder, wanted)
    found.look()
    return found


def test_the_first_by_name_is_the_default_unless_one_is_named(tmp_path: Path, tiny: bytes) -> None:
    for name in ("b.gguf", "a.gguf", "notes.txt"):
        (tmp_path / name).write_bytes(tiny)
    assert list(library(tmp_path).models) == ["a", "b"]
    for wanted in ("b", "b.gguf"):
        named = library(tmp_path, wanted)
        assert list(named.models) == ["b", "a"]
        assert named.default() is named.models["b"]
    assert library(tmp_path, "c").default() is None
    assert library(tmp_path, "c").reason == f"there is no c.gguf in {tmp_path}"


def test_the_demo_is_the_default_only_while_there_is_no_other(tmp_path: Path, tiny: bytes) -> None:
    (tmp_path / "tollgate-demo.gguf").write_bytes(tiny)
    found = library(tmp_path)
    assert found.default() is found.models["tollgate-demo"]
    (tmp_path / "z.gguf").write_bytes(tiny)
    found.look()
    assert list(found.models) == ["z", "tollgate-demo"]


def test_a_file_that_is_none_is_told_and_the_others_are_served(tmp_path: Path, tiny: bytes) -> None:
    (tmp_path / "a.gguf").write_text("nothing")
    assert "is not a GGUF file" in library(tmp_path).reason
    (tmp_path / "b.gguf").write_bytes(tiny)
    found = library(tmp_path)
    assert list(found.models) == ["b"]
    assert "is not a GGUF file" in found.problems["a"]


def test_says_what_to_do_without_a_model(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        assert library(folder).reason == f"no model: put a GGUF file into {folder}"


def test_a_model_in_parts_is_one_when_all_are_there(tmp_path: Path, tiny: bytes) -> None:
    (tmp_path / "big-00001-of-00002.gguf").write_bytes(tiny)
    assert "big-00002-of-00002.gguf is missing" in library(tmp_path).problems["big-00001-of-00002"]
    (tmp_path / "big-00002-of-00002.gguf").write_bytes(tiny)
    (tmp_path / "mmproj-big.gguf").write_bytes(tiny)
    found = library(tmp_path)
    assert list(found.models) == ["big"]
    big, parts = found.models["big"], sorted(tmp_path.glob("big-*"))
    assert list(big.files) == parts
    assert big.facts.file_bytes == 2 * len(tiny)
    (tmp_path / "one.gguf").write_bytes(tiny)
    assert big.facts.parameters == 2 * library(tmp_path).models["one"].facts.parameters
    parts[1].write_bytes(tiny[:-1])
    found.look()
    assert "big-00002-of-00002.gguf is cut off" in found.problems["big-00001-of-00002"]


def test_embedding_models_take_the_whole_input_at_once_where_they_must_and_are_the_default_last(tmp_path: Path) -> None:
    for name, pools in (("a-mean", gguf.PoolingType.MEAN), ("b-last", gguf.PoolingType.LAST), ("writes", None)):
        tiny_gguf.write(tmp_path / f"{name}.gguf", context=512, shape=tiny_gguf.Shape(pools=pools))
    (tmp_path / "tollgate-demo.gguf").write_bytes((tmp_path / "writes.gguf").read_bytes())
    found = library(tmp_path)
    assert list(found.models) == ["writes", "tollgate-demo", "a-mean", "b-last"]
    settings = ServiceSettings(tmp_path, context=2048, batch=128)
    assert {name: model.batch(settings) for name, model in found.models.items()} == {
        "writes": 128,
        "tollgate-demo": 128,
        "a-mean": 512,
        "b-last": 128,
    }
    assert found.default({"writes"}) is found.models["tollgate-demo"]


def test_needs_its_weights_and_every_slots_context(tmp_path: Path, tiny: bytes) -> None:
    (tmp_path / "tiny.gguf").write_bytes(tiny)
    model = library(tmp_path).models["tiny"]
    small = model.needed_bytes(ServiceSettings(tmp_path, slots=1, context=256))
    large = model.needed_bytes(ServiceSettings(tmp_path, slots=8, context=2048))
    assert small > len(tiny)
    assert large - small == model.facts.kv_bytes_per_token * (8 * 2048 - 256)
    # No slot is larger than what the model was made for.
    assert model.needed_bytes(ServiceSettings(tmp_path, slots=8, context=1 << 20)) == large
