"""Instants as the reader's own clock shows them: Jinja filters that know the reader's zone.

A macro that uses them is imported ``with context``.
"""

from datetime import datetime, timedelta, tzinfo
from math import ceil

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup


def clock(at: datetime, *, zone: tzinfo) -> str:
    """``14:05 CET (UTC+1)``; ``14:05 UTC-3`` where the zone's hours have no name of their own."""
    local = at.astimezone(zone)
    return f"{local:%H:%M} {_zone_of(local)}"


def full(at: datetime, *, zone: tzinfo) -> str:
    """``Mon 23 Nov 2026, 08:00 CET (UTC+1)``."""
    local = at.astimezone(zone)
    return f"{local:%a} {local.day} {local:%b %Y}, {clock(at, zone=zone)}"


def lasting(span: timedelta) -> str:
    """``45 min``, ``1 h 30 min``."""
    hours, minutes = divmod(round(span / timedelta(minutes=1)), 60)
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes or not hours else ""]
    return " ".join(part for part in parts if part)


@pass_context
def moment(context: Context, at: datetime) -> Markup:
    """``23 Nov 2026, 08:00``, with everything else about it as a tool tip."""
    local = at.astimezone(context["zone"])
    utc = " UTC" if local.tzname() == "UTC" else ""
    return _time(at, f"{local.day} {local:%b %Y, %H:%M}{utc}", full(at, zone=context["zone"]))


@pass_context
def exactly(context: Context, at: datetime) -> Markup:
    """With the day of the week and the zone: for a time that somebody has chosen."""
    return _time(at, full(at, zone=context["zone"]))


@pass_context
def about(context: Context, at: datetime) -> Markup:
    """``14:05 CET (UTC+1)`` for a time of today, with the day for any other."""
    zone: tzinfo = context["zone"]
    now: datetime = context["now"]
    today = at.astimezone(zone).date() == now.astimezone(zone).date()
    return _time(at, clock(at, zone=zone) if today else full(at, zone=zone))


@pass_context
def seconds_left(context: Context, at: datetime) -> int:
    """Whole seconds until then; none are left once it has come."""
    now: datetime = context["now"]
    return max(0, ceil((at - now).total_seconds()))


def _time(at: datetime, shown: str, title: str = "") -> Markup:
    tip = Markup(' title="{}"').format(title) if title else ""
    return Markup('<time datetime="{}"{}>{}</time>').format(at.isoformat(timespec="seconds"), tip, shown)


def _zone_of(local: datetime) -> str:
    offset, name = _offset(local), local.tzname() or ""
    return f"{name} ({offset})" if name.isalpha() and name != "UTC" else offset


def _offset(local: datetime) -> str:
    minutes = round((local.utcoffset() or timedelta()) / timedelta(minutes=1))
    hours, rest = divmod(abs(minutes), 60)
    sign = "-" if minutes < 0 else "+"
    return f"UTC{sign}{hours}{f':{rest:02}' if rest else ''}" if minutes else "UTC"
