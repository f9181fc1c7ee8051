"""A loopback server in a provider's place: replays recorded or written interactions and records what it was asked.

`Upstream` is the server, `Answer` what it says to one call and how it fails, `Gate` what a test opens to let a held
answer go on. Interactions have the format of the recorded traffic (see `tests/traffic.py`); ours are in
`tests/fixtures` and marked `"fidelity": "written"`.
"""

from tests.replay.answers import Answer, Gate, answer_of, error, pieces_of, written
from tests.replay.server import Call, Upstream

__all__ = ["Answer", "Call", "Gate", "Upstream", "answer_of", "error", "pieces_of", "written"]
