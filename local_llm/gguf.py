"""Which file of the models folder is served, and whether it is a GGUF at all.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from pathlib import Path

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_HEADER_BYTES = 24  # magic, version, number of tensors, number of metadata pairs


class NoModel(Exception):
    """There is nothing to serve; the text is one line that says what to do."""


def find_model(folder: Path, wanted: str | None = None) -> Path:
    """The file named `wanted`, else the first GGUF by name. Raises NoModel."""
    if wanted:
        path = folder / wanted
        if not path.is_file():
            raise NoModel(f"there is no {wanted} in {folder}")
        check(path)
        return path
    found = sorted(path for path in folder.glob("*.gguf") if path.is_file())
    if not found:
        raise NoModel(f"no model: put a GGUF file into {folder}")
    check(found[0])
    return found[0]


def check(path: Path) -> None:
    """Raises NoModel for a file that cannot be a GGUF, so that llama.cpp need not find out."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
    except OSError as error:
        raise NoModel(f"{path} cannot be read ({type(error).__name__}); check its mode") from None
    if head[:4] != _MAGIC:
        raise NoModel(f"{path} is not a GGUF file (it does not begin with 'GGUF'); replace or remove it")
    if len(head) < _HEADER_BYTES:
        raise NoModel(f"{path} is cut off after {len(head)} bytes; download it again")
    version = int.from_bytes(head[4:8], "little")
    if version not in _VERSIONS:
        raise NoModel(f"{path} has GGUF version {version}, not 2 or 3; convert it again with a current llama.cpp")
