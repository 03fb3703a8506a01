"""One page of a longer list."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """``items`` in their order, and ``next``: the cursor of the following page, none on the last."""

    items: list[T]
    next: str | None
