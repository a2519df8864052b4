"""A certificate as a text that a student can follow."""

from singulab.exact.result import RLCT


def derivation(found: RLCT) -> str:
    """The steps of a certificate in words, then the result."""
    certificate = found.certificate or {}
    lines = [f"{key}: {value}" for key, value in certificate.items() if key != "kind"]
    return "\n".join([*lines, *found.reasons, str(found)])
