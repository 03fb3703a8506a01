"""What a request carries: a bearer token, the fields of a form."""

from urllib.parse import parse_qsl

from starlette.requests import Request


def bearer(request: Request) -> str:
    """The bearer token of `request`; empty when there is none."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


async def form_pairs(request: Request) -> list[tuple[str, str]]:
    """The fields of a form in the body, in order."""
    return parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)


async def form_fields(request: Request) -> dict[str, str]:
    """The fields of a form in the body, the first value of each."""
    return dict(reversed(await form_pairs(request)))
