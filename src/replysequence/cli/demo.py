"""``replysequence demo``: the app and its stand-in providers on this machine, with a person and three drafts."""

import secrets
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from replysequence import app, logs, serving
from replysequence.app import App
from replysequence.domain.address import parse_address
from replysequence.domain.draft import DraftContent
from replysequence.domain.errors import Conflict
from replysequence.sandbox.running import sandbox
from replysequence.sandbox.world import World
from replysequence.settings import read

EMAIL = "dana.reyes@brightwave.example"
NAME = "Dana Reyes"

DRAFTS = (
    (
        "Maya Lindqvist <maya.lindqvist@northwind.example>",
        "Thanks for today – next steps for the pilot",
        """<p>Hi Maya,</p>
<p>thank you for the good talk this morning. As agreed:</p>
<ul>
<li>we set up the pilot for your <b>two teams in Malmö</b> by Friday,</li>
<li>you send us the list of people who take part,</li>
<li>we meet again on Thursday at 10:00.</li>
</ul>
<p>If anything is unclear, just answer this mail.</p>
<p>Best regards<br>Dana</p>""",
    ),
    (
        "Tomás Oliveira <tomas@oliveira-logistica.example>",
        "The figures you asked for",
        """<p>Hi Tomás,</p>
<p>here are the figures we talked about: setup takes two days, and the price per seat stays the same for the
first year.</p>
<p>Shall I prepare the offer for 40 seats?</p>
<p>Dana</p>""",
    ),
    (
        "Priya Raman <priya.raman@heliotrope.example>",
        "Recording and notes from our call",
        """<p>Hi Priya,</p>
<p>it was a pleasure to meet you and your colleagues. My notes are below; please correct what I got wrong.</p>
<ol>
<li>Security review until the end of the month</li>
<li>Single sign-on is a must</li>
<li>Decision in January</li>
</ol>
<p>Best<br>Dana</p>""",
    ),
)
"""Recipient, subject and HTML of each."""


async def run(*, port: int, sandbox_port: int, data: Path | None) -> None:
    """Run the demo until the process is told to stop. Data goes to ``data``, or to a folder that ends with the demo."""
    with ExitStack() as stack:
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="replysequence-demo-")))
        public_url = f"http://localhost:{port}"
        world = World()
        world.register_app(public_url)
        sock = stack.enter_context(_listen(port))
        try:
            providers = stack.enter_context(sandbox(world, port=sandbox_port))
        except OSError as error:
            raise _taken(sandbox_port, "--sandbox-port") from error
        settings = read(
            {
                **providers.environment,
                "PUBLIC_URL": public_url,
                "REPLYSEQUENCE_DATA_DIR": str(folder),
                "LOG_LEVEL": "ERROR",
            }
        )
        logs.set_up(settings.log_level)
        app.prepare(settings)
        world.resend.webhook_url = f"{public_url}/api/webhooks/resend"

        async def ready(parts: App) -> None:
            await _furnish(parts, sandbox_url=f"http://localhost:{sandbox_port}")

        await serving.serve(settings, sock=sock, with_worker=True, ready=ready)


async def _furnish(parts: App, *, sandbox_url: str) -> None:
    """Make the demo's person and drafts, once, and print where to go."""
    password = secrets.token_urlsafe(9)
    signing_in = parts.services.signing_in
    try:
        person = await signing_in.add(email=EMAIL, name=NAME, password=password, is_admin=True)
    except Conflict:
        await signing_in.reset_password(email=EMAIL, password=password)
    else:
        for to, subject, html in DRAFTS:
            content = DraftContent(to=(parse_address(to),), subject=subject, html=html)
            await parts.services.drafting.create(person.id, content=content)
    link = await signing_in.sign_in_link(EMAIL)
    click.echo(
        f"""
ReplySequence is ready. Nothing leaves this machine.

  1. Open              {parts.settings.public_url}/sign-in/link/{link.reveal()}
  2. Connect “Gmail”   under Settings → Integrations, as {EMAIL}
  3. Send a draft      and read it on the other side: {sandbox_url}

  Break things         {sandbox_url}/faults
  Sign in later        {EMAIL} with the password {password}
  Stop                 Ctrl+C
"""
    )


def _listen(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port))
        sock.listen(512)
    except OSError as error:
        sock.close()
        raise _taken(port, "--port") from error
    return sock


def _taken(port: int, option: str) -> click.ClickException:
    return click.ClickException(
        f"Port {port} is taken. Choose another one: replysequence demo {option} {port + 100}"
    )
