"""Checks that the formulas share."""


def whole(**numbers: int) -> None:
    """Every number is an integer ≥ 1.

    Raises:
        TypeError: one is no integer.
        ValueError: one is below 1.
    """
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(f"{name} is a whole number, got {number!r}.")
        if number < 1:
            raise ValueError(f"{name} is at least 1, got {number}.")


def rank_of(rank: int, most: int, what: str) -> None:
    """0 ≤ rank ≤ most.

    Raises:
        TypeError: the rank is no integer.
        ValueError: it lies outside.
    """
    if isinstance(rank, bool) or not isinstance(rank, int):
        raise TypeError(f"rank is a whole number, got {rank!r}.")
    if not 0 <= rank <= most:
        raise ValueError(f"rank must lie between 0 and {what}, {most}, got {rank}.")
