"""Replays certificates. It shares the arithmetic of polynomials with the search, and searches for nothing itself.

``core`` holds the argument: what a chart is worth, and that every face with a zero is answered for. The others make
what it speaks of anew from the generators of the certificate, each one thing: ``cone``, ``polyhedron``, ``sign``,
``generator``, ``step``, ``coordinate``, ``face``, ``locus``, ``blow_up``, ``split``, ``box``.
"""

from singulab.exact.checker.claim import RefutedError as RefutedError
from singulab.exact.checker.core import check as check

__all__ = ["RefutedError", "check"]
