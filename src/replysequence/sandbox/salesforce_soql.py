"""A small, strict reader of SOQL: SELECT fields FROM object [WHERE …] [ORDER BY …] [LIMIT n] [OFFSET n].

Text must be quoted, and everything in it that means something else escaped. AND and OR are not mixed without
parentheses. Source: SOQL reference, "Quoted String Escape Sequences" and "Condition Expression", checked 2026-11-22.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from replysequence.sandbox.salesforce_errors import SalesforceRefusedError, malformed_query

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
    |'(?P<text>(?:[^'\\]|\\.)*)'
    |(?P<moment>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2}))
    |(?P<day>\d{4}-\d{2}-\d{2})
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<name>[A-Za-z_][\w.]*)
    |(?P<sign><=|>=|!=|<>|=|<|>|\(|\)|,)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES: Final = {
    "n": "\n",
    "N": "\n",
    "r": "\r",
    "R": "\r",
    "t": "\t",
    "T": "\t",
    "b": "\b",
    "B": "\b",
    "f": "\f",
    "F": "\f",
    '"': '"',
    "'": "'",
    "\\": "\\",
    "_": "\\_",
    "%": "\\%",
}
"""What a letter after a backslash stands for. `\\_` and `\\%` stay as they are: LIKE reads them."""
_COMPARISONS: Final = ("=", "!=", "<>", "<", ">", "<=", ">=")

Literal = str | float | bool | date | datetime | None
"""A value in a query. A `datetime` is a moment, a bare `date` a day."""


@dataclass(frozen=True)
class Comparison:
    """`field operator value`; IN and NOT IN have several values."""

    field: str
    operator: str
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class Junction:
    """Conditions of which all (AND) or any (OR) must hold, or the one that must not (NOT)."""

    word: str
    conditions: "tuple[Condition, ...]"


Condition = Comparison | Junction


@dataclass(frozen=True, kw_only=True)
class Query:
    """What was asked for, by the names as they were written."""

    fields: tuple[str, ...]
    kind: str
    condition: Condition | None
    order: tuple[tuple[str, bool], ...]
    """Names, and whether each runs backwards."""
    limit: int | None
    offset: int


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    column: int


def read_query(text: str) -> Query:
    """Read `text`. Raises `SalesforceRefusedError` (400 MALFORMED_QUERY)."""
    return _Reader(text).query()


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SalesforceRefusedError(malformed_query(text, at + 1, f"unexpected token: '{text[at]}'"))
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(_Token(kind, match[kind], at + 1))
        at = match.end()
    return [*found, _Token("end", "<EOF>", len(text) + 1)]


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0

    def query(self) -> Query:
        self._expect("SELECT")
        fields = [self._name()]
        while self._takes(","):
            fields.append(self._name())
        self._expect("FROM")
        kind = self._name()
        condition = self._condition() if self._takes("WHERE") else None
        order = self._order() if self._takes("ORDER") else ()
        limit = self._number() if self._takes("LIMIT") else None
        offset = self._number() if self._takes("OFFSET") else 0
        if self._next.kind != "end":
            raise self._unexpected()
        return Query(
            fields=tuple(fields), kind=kind, condition=condition, order=order, limit=limit, offset=offset
        )

    def _condition(self) -> Condition:
        """Conditions joined by one word; the other word needs parentheses."""
        conditions = [self._one()]
        word = next((each for each in ("AND", "OR") if self._is(each)), "")
        while word and self._takes(word):
            conditions.append(self._one())
        if self._is("AND") or self._is("OR"):
            raise self._unexpected()
        return Junction(word, tuple(conditions)) if word else conditions[0]

    def _one(self) -> Condition:
        if self._takes("NOT"):
            return Junction("NOT", (self._one(),))
        if self._takes("("):
            condition = self._condition()
            self._expect(")")
            return condition
        field = self._name()
        if self._takes("NOT"):
            self._expect("IN")
            return Comparison(field, "NOT IN", self._several())
        if self._takes("IN"):
            return Comparison(field, "IN", self._several())
        if self._takes("LIKE"):
            return Comparison(field, "LIKE", (self._literal(),))
        operator = next((sign for sign in _COMPARISONS if self._takes(sign)), "")
        if not operator:
            raise self._unexpected()
        return Comparison(field, "!=" if operator == "<>" else operator, (self._literal(),))

    def _several(self) -> tuple[Literal, ...]:
        self._expect("(")
        values = [self._literal()]
        while self._takes(","):
            values.append(self._literal())
        self._expect(")")
        return tuple(values)

    def _literal(self) -> Literal:
        token = self._next
        self._at += 1
        match token.kind:
            case "text":
                return self._unescaped(token)
            case "moment":
                return datetime.fromisoformat(token.text)
            case "day":
                return date.fromisoformat(token.text)
            case "number":
                return float(token.text)
        words: dict[str, Literal] = {"true": True, "false": False, "null": None}
        if token.kind != "name" or token.text.lower() not in words:
            self._at -= 1
            raise self._unexpected()
        return words[token.text.lower()]

    def _unescaped(self, token: _Token) -> str:
        def plain(found: re.Match[str]) -> str:
            if found[1] not in _ESCAPES:
                message = f"invalid string literal: illegal character sequence '{found[0]}'"
                raise SalesforceRefusedError(malformed_query(self._text, token.column, message))
            return _ESCAPES[found[1]]

        return re.sub(r"\\(.)", plain, token.text, flags=re.DOTALL)

    def _order(self) -> tuple[tuple[str, bool], ...]:
        self._expect("BY")
        found = [self._ordered()]
        while self._takes(","):
            found.append(self._ordered())
        return tuple(found)

    def _ordered(self) -> tuple[str, bool]:
        name = self._name()
        backwards = self._takes("DESC")
        if not backwards:
            self._takes("ASC")
        if self._takes("NULLS") and not (self._takes("FIRST") or self._takes("LAST")):
            raise self._unexpected()
        return name, backwards

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _is(self, word: str) -> bool:
        return self._next.kind in ("name", "sign") and self._next.text.upper() == word

    def _takes(self, word: str) -> bool:
        found = self._is(word)
        self._at += found
        return found

    def _expect(self, word: str) -> None:
        if not self._takes(word):
            raise self._unexpected()

    def _name(self) -> str:
        token = self._next
        if token.kind != "name":
            raise self._unexpected()
        self._at += 1
        return token.text

    def _number(self) -> int:
        token = self._next
        if token.kind != "number" or not token.text.isdigit():
            raise self._unexpected()
        self._at += 1
        return int(token.text)

    def _unexpected(self) -> SalesforceRefusedError:
        token = self._next
        return SalesforceRefusedError(
            malformed_query(self._text, token.column, f"unexpected token: '{token.text}'")
        )
