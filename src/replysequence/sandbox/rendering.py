"""The sandbox's own HTML pages."""

from pathlib import Path

import jinja2
from starlette.responses import HTMLResponse, Response

_HERE = Path(__file__).parent
STATIC = _HERE / "static"

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; "
    "base-uri 'none'; frame-ancestors 'self'"
)


def page(template: str, *, status: int = 200, **values: object) -> Response:
    """Render `template` with `values`; everything is escaped."""
    html = _TEMPLATES.get_template(template).render(**values)
    headers = {
        "Content-Security-Policy": _POLICY,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(html, status, headers=headers)


def redirect(location: str) -> Response:
    """302 to `location`, which goes out as it is."""
    return Response(status_code=302, headers={"Location": location, "Cache-Control": "no-store"})
