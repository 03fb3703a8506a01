"""Pages of a list, and the opaque tokens that lead from one to the next."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any, TypeVar

_Item = TypeVar("_Item")


def cut(
    items: Sequence[_Item], *, start: int, size: int, is_empty: bool = False
) -> tuple[list[_Item], int | None]:
    """The items of the page at `start`, and where the next one starts; None when there is none.

    A page that `is_empty` holds nothing, and the next one starts where it did.
    """
    if is_empty:
        return [], start
    end = start + size
    return list(items[start:end]), end if end < len(items) else None


def seal(**values: Any) -> str:
    """A token that holds `values`, to be handed out."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def unseal(token: str, *names: str) -> dict[str, Any]:
    """What `token` holds, each of `names` at least. Raises `ValueError` for one that was never handed out."""
    try:
        values = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise ValueError(token) from None
    if not isinstance(values, dict) or not set(names) <= set(values):
        raise ValueError(token)
    return values
