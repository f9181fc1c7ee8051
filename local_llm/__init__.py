"""The local model: a small service on :11434 that keeps one llama.cpp `llama-server` running behind it.

`python -m local_llm` starts at once, also without a model, and says in `/health` what it waits for. Tied to nobody:
standard library only.
"""
