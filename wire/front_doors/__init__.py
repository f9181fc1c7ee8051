"""Formats that callers speak and no provider does: the APIs of small servers whose clients work here unchanged.

Each module that is one exports `DOOR`, a `wire.dialect.FrontDoor`. They never import each other; what they
have in common is in `generation` (settings), `spoken` (the text of an answer), `figures` (tokens, money, times),
`streams` and `errors`.
"""
