"""SOQL, Salesforce's query language. A query is built from names of ours and values of anybody's: a value cannot become
anything else.
"""

from collections.abc import Mapping, Sequence

Value = str | bool | Sequence[str]
"""A text, true or false; several texts mean any of them."""

_ESCAPES = str.maketrans(
    {
        "\\": r"\\",
        "'": r"\'",
        '"': r"\"",
        "\n": r"\n",
        "\r": r"\r",
        "\t": r"\t",
        "\b": r"\b",
        "\f": r"\f",
    }
)
"""SOQL reference, "Quoted String Escape Sequences", checked 2026-11-22."""


def select(
    kind: str, fields: Sequence[str], where: Mapping[str, Value], *, limit: int, newest_first: bool = False
) -> str:
    """A query for at most ``limit`` records of ``kind`` that are as ``where`` says, name by name."""
    conditions = " AND ".join(f"{name} {_compared(value)}" for name, value in where.items())
    order = ["ORDER BY CreatedDate DESC"] if newest_first else []
    return " ".join(
        ["SELECT", ", ".join(fields), "FROM", kind, "WHERE", conditions, *order, "LIMIT", str(limit)]
    )


def quoted(value: str) -> str:
    """``value`` as a text in a query, quotes included, whatever it holds."""
    return f"'{value.translate(_ESCAPES)}'"


def _compared(value: Value) -> str:
    if isinstance(value, bool):
        return f"= {str(value).lower()}"
    return f"= {quoted(value)}" if isinstance(value, str) else f"IN ({', '.join(map(quoted, value))})"
