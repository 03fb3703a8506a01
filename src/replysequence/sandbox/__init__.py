"""Faithful stand-ins of the providers on one loopback port, for the demo, development and tests.

A separate program: it imports nothing of the rest of the package.
"""
