"""The bill under every fault: real servers, processes and signals, and an upstream that counts what it accepted.

A package, so that the cluster of its conftest is shared by these tests and ended with them.
"""
