"""A value that never shows itself in text."""

import hmac
from typing import NoReturn

MASK = "***"


class Secret:
    """A token, key or code. Every text form is masked; only :meth:`reveal` gives the value (a ``str``).

    Comparison takes the same time whatever differs. Pickling is refused, so that no secret slips into a cache.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not value:
            raise ValueError("an empty string is not a secret")
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that must put it on the wire or into the vault."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, format_spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")
