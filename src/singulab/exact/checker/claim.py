"""What a certificate claims either holds or refutes it."""

from collections.abc import Mapping
from typing import Any

Branch = Mapping[str, Any]  # of the tree of a certificate


class RefutedError(ValueError):
    """A certificate that does not prove what it says."""


def demand(holds: Any, claim: str) -> None:
    """Refute the certificate unless the claim holds."""
    if not holds:
        raise RefutedError(f"The certificate is refuted: {claim}.")
