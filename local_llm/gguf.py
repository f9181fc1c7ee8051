"""Reads what a GGUF file says of itself, without llama.cpp: enough to refuse a file before an engine is started for it.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_HEADER_BYTES = 24  # magic, version, number of tensors, number of metadata pairs
_SANE_COUNT = 1 << 24
_SANE_TEXT = 1 << 26
_SCALARS: Final = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _ARRAY = 8, 9
_KEPT_ITEMS = 64  # of an array; vocabularies are passed over

# ggml_type -> (weights in a block, bytes of a block): ggml/src/ggml.c, type_traits.
_BLOCKS: Final = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74),
    18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2),
    26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
# llama_ftype of general.file_type: include/llama.h
_QUANTISATIONS: Final = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip


class NoModel(Exception):
    """There is nothing to serve; the text is one line that says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What a file says of its model. Sizes in bytes, `context` in tokens; 0 or "" where the file does not say.

    `kv_bytes_per_token` is what one token of context costs in memory, at 16 bits a value. `pooling` None: the file
    names none, as chat models do not. `causal`: a token sees only those before it.
    """

    name: str
    architecture: str
    description: str
    licence: str
    quantisation: str
    parameters: int
    file_bytes: int
    context: int
    layers: int
    width: int
    vocabulary: int
    kv_bytes_per_token: int
    pooling: int | None
    causal: bool
    chat_template: bool


def read_facts(path: Path) -> ModelFacts:
    """Raises NoModel for a file that is no whole GGUF, so that llama.cpp need not find out."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            return _Reader(path, file, size).facts()
    except OSError as error:
        raise NoModel(f"{path.name} cannot be read ({type(error).__name__}); check its mode") from None


class _CutOff(Exception):
    pass


class _Reader:
    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self._path = path
        self._file = file
        self._size = size

    def facts(self) -> ModelFacts:
        tensors, pairs = self._header()
        try:
            said = dict(self._pair() for _ in range(pairs))
            parameters, needed = self._tensors(tensors, int(said.get("general.alignment", 32)) or 32)
        except _CutOff:
            raise self._cut_off() from None
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise NoModel(f"{self._path.name} is damaged ({type(error).__name__}); download it again") from None
        if needed > self._size:
            raise self._cut_off(needed)
        return self._describe(said, parameters)

    def _header(self) -> tuple[int, int]:
        head = self._file.read(_HEADER_BYTES)
        if head[:4] != _MAGIC:
            raise NoModel(f"{self._path.name} is not a GGUF file (it does not begin with 'GGUF'); replace or remove it")
        if len(head) < _HEADER_BYTES:
            raise self._cut_off()
        version, tensors, pairs = struct.unpack_from("<IQQ", head, 4)
        if version not in _VERSIONS:
            raise NoModel(
                f"{self._path.name} has GGUF version {version}, not 2 or 3; convert it again with a current llama.cpp"
            )
        if tensors > _SANE_COUNT or pairs > _SANE_COUNT:
            raise NoModel(f"{self._path.name} is damaged (it counts {max(tensors, pairs)} entries); download it again")
        return tensors, pairs

    def _cut_off(self, needed: int | None = None) -> NoModel:
        whole = f" of {needed}" if needed else ""
        return NoModel(f"{self._path.name} is cut off after {self._size}{whole} bytes; download it again")

    def _take(self, size: int) -> bytes:
        got = self._file.read(size)
        if len(got) < size:
            raise _CutOff
        return got

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _text(self) -> str:
        length = self._number("<Q")
        if length > _SANE_TEXT:
            raise _CutOff if length > self._size else ValueError
        return self._take(length).decode()

    def _pair(self) -> tuple[str, Any]:
        key = self._text()
        return key, self._value(self._number("<I"))

    def _value(self, kind: int) -> Any:
        if kind == _TEXT:
            return self._text()
        if kind == _ARRAY:
            return self._array()
        return self._number(_SCALARS[kind]) if kind in _SCALARS else self._unknown(kind)

    def _unknown(self, kind: int) -> Any:
        raise ValueError(kind)

    def _array(self) -> Any:
        """The items of a short one, else how many there are."""
        kind, count = self._number("<I"), self._number("<Q")
        if kind in _SCALARS and count > _KEPT_ITEMS:
            self._skip(count * struct.calcsize(_SCALARS[kind]))
            return count
        if count <= _KEPT_ITEMS:
            return [self._value(kind) for _ in range(count)]
        if kind != _TEXT or count > _SANE_COUNT:
            raise _CutOff if count > self._size else ValueError(kind)
        for _ in range(count):
            self._skip(self._number("<Q"))
        return count

    def _skip(self, size: int) -> None:
        if size > self._size - self._file.tell():
            raise _CutOff
        self._file.seek(size, 1)

    def _tensors(self, count: int, alignment: int) -> tuple[int, int]:
        """How many weights there are, and how long the file has to be."""
        parameters = end = 0
        for _ in range(count):
            self._text()
            dimensions = self._number("<I")
            if dimensions > 8:
                raise ValueError(dimensions)
            weights = 1
            for _ in range(dimensions):
                weights *= self._number("<Q")
            kind, offset = self._number("<I"), self._number("<Q")
            in_block, block = _BLOCKS.get(kind, (1, 0))  # a type made after this was written: only its offset counts
            parameters += weights
            end = max(end, offset + weights // in_block * block)
        data = -(-self._file.tell() // alignment) * alignment
        return parameters, data + end if count else 0

    def _describe(self, said: dict[str, Any], parameters: int) -> ModelFacts:
        architecture = str(said.get("general.architecture", ""))

        def number(key: str) -> int:
            value = said.get(f"{architecture}.{key}")
            if isinstance(value, list):  # one a layer, where layers differ
                value = max((item for item in value if isinstance(item, int)), default=0)
            return value if isinstance(value, int) and value >= 0 else 0

        tokens = said.get("tokenizer.ggml.tokens", 0)
        pooling = said.get(f"{architecture}.pooling_type")
        return ModelFacts(
            name=str(said.get("general.name", "")),
            architecture=architecture,
            description=str(said.get("general.description", "")),
            licence=str(said.get("general.license", "")),
            quantisation=_QUANTISATIONS.get(said.get("general.file_type", -1), ""),
            parameters=parameters,
            file_bytes=self._size,
            context=number("context_length"),
            layers=number("block_count"),
            width=number("embedding_length"),
            vocabulary=tokens if isinstance(tokens, int) else len(tokens),
            kv_bytes_per_token=_kv_bytes(number),
            pooling=pooling if isinstance(pooling, int) else None,
            causal=said.get(f"{architecture}.attention.causal") is not False,
            chat_template="tokenizer.chat_template" in said,
        )


def _kv_bytes(number: Any) -> int:
    heads = number("attention.head_count")
    head = number("embedding_length") // heads if heads else 0
    key, value = number("attention.key_length") or head, number("attention.value_length") or head
    layers: int = number("block_count")
    kv_heads: int = number("attention.head_count_kv") or heads
    return layers * kv_heads * (key + value) * 2
