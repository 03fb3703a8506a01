"""No token, code, verifier, password or key is anywhere in the clear: logs at DEBUG, rows, pages, answers, output.

The program runs in a process of its own, is led through everything that handles a secret, with faults on the way,
and then all that it said and kept is searched for every secret that was ever in play, in several encodings.
"""

import base64
import hashlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from sqlalchemy import select

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.running import RunningSandbox, sandbox
from replysequence.storage.database import engine_for, parse_url
from replysequence.storage.tables import metadata
from support.consent import approve
from support.plain_http import Answer, call

PASSWORD = "canary-password-3f8e"
NEW_PASSWORD = "canary-password-next-77b1"
SUBJECT = "A subject that no log may hold"
TOKEN_LIKE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass
class Program:
    """The running program, a browser at it, and everything that it ever answered."""

    base_url: str
    process: subprocess.Popen[bytes]
    cookie: str | None = None
    heard: list[str] = field(default_factory=list)
    shown_once: set[str] = field(default_factory=set)

    def __call__(self, method: str, path: str, **given: object) -> Answer:
        headers = {"Sec-Fetch-Site": "same-origin", **(given.pop("headers", None) or {})}  # type: ignore[dict-item]
        if self.cookie and "Authorization" not in headers:
            headers["Cookie"] = f"session={self.cookie}"
        answer = call(method, f"{self.base_url}{path}", headers=headers, **given)  # type: ignore[arg-type]
        said = [f"{name}: {value}" for name, value in answer.headers.items() if name.lower() != "set-cookie"]
        # The way to the provider carries state, nonce and challenge by design; nothing else may.
        if "code_challenge=" not in answer.headers.get("Location", ""):
            self.heard.append("\n".join(said))
        self.heard.append(answer.body.decode(errors="replace"))
        return answer

    def sign_in(self, answer: Answer) -> None:
        found = re.search(r"session=([^;]+)", "\n".join(answer.headers.get_all("Set-Cookie", [])))
        assert found, (answer.status, answer.text[:300])
        self.cookie = found[1]


@contextmanager
def serving(database_url: str, folder: Path, *, box: RunningSandbox, key: str) -> Iterator[Program]:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    base_url = f"http://127.0.0.1:{port}"
    box.world.register_app(base_url)
    env = {
        **os.environ,
        **box.environment,
        "DATABASE_URL": database_url,
        "REPLYSEQUENCE_DATA_DIR": str(folder),
        "PUBLIC_URL": base_url,
        "ENCRYPTION_KEYS": f"k1:{key}",
        "LOG_LEVEL": "DEBUG",
        "PYTHONASYNCIODEBUG": "1",
    }
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            (sys.executable, "-X", "dev", "-m", "replysequence", "serve", "--port", str(port)),
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Program(base_url, process)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def wait_for_output(folder: Path, pattern: str) -> re.Match[str]:
    for _ in range(300):
        if found := re.search(pattern, (folder / "output").read_text(errors="replace")):
            return found
        time.sleep(0.1)
    raise AssertionError((folder / "output").read_text(errors="replace")[-2000:])


def connect(program: Program, provider: str, account: str) -> None:
    start = program("GET", f"/api/auth/{provider}")
    callback = urlsplit(approve(start.headers["Location"], account=account))
    back = program("GET", f"{callback.path}?{callback.query}", headers={"Sec-Fetch-Site": "cross-site"})
    assert back.status == 303
    program("GET", f"{callback.path}?{callback.query}")  # replayed, and refused
    program("GET", back.headers["Location"])


def send(program: Program, **draft: object) -> Answer:
    made = program(
        "POST",
        "/api/drafts",
        json_body={"to": ["bob@example.com"], "subject": SUBJECT, "text": "Hi.", **draft},
    )
    assert made.status == 201, made.text
    return program(
        "POST",
        "/api/drafts/send",
        json_body={"draft_id": made.json["id"]},
        headers={"Prefer": "wait=10", "Idempotency-Key": secrets.token_hex(8)},
    )


def lead_through_everything(program: Program, box: RunningSandbox, folder: Path) -> None:
    link = wait_for_output(folder, r"/join/(\S+)")
    program.shown_once.add(link[1])
    joined = program(
        "POST",
        f"/join/{link[1]}",
        form={"email": "alice@example.com", "name": "Alice", "password": PASSWORD},
    )
    program.sign_in(joined)
    program("POST", "/sign-in", form={"email": "alice@example.com", "password": PASSWORD + "x"})
    program.sign_in(program("POST", "/sign-in", form={"email": "alice@example.com", "password": PASSWORD}))
    assert send(program).json["state"] == "sent"  # through the relay: nothing is connected yet
    connect(program, "gmail", "dana.reyes@brightwave.example")
    connect(program, "outlook", "dana.reyes@contoso.example")
    assert send(program).json["state"] == "sent"
    faults = box.world.faults
    faults.arm(Fault(kind="error_500_after_acceptance", vendor=Vendor.GOOGLE))
    assert send(program).json["state"] == "unknown"
    faults.arm(Fault(kind="refused_401", vendor=Vendor.GOOGLE))
    assert send(program).json["state"] == "sent"  # after a refresh
    faults.arm(Fault(kind="html", vendor=Vendor.GOOGLE, endpoint=Endpoint.TOKEN))
    start = program("GET", "/api/auth/gmail")
    callback = urlsplit(approve(start.headers["Location"], account="dana.reyes@gmail.example"))
    program("GET", f"{callback.path}?{callback.query}", headers={"Sec-Fetch-Site": "cross-site"})
    for email in ("dana.reyes@brightwave.example", "dana.reyes@contoso.example"):
        program("POST", "/settings/people", form={"email": email})
    made = program("POST", "/settings/api-keys", form={"name": "x"})
    key = re.search(r"rs_[A-Za-z0-9_-]{20,}", made.text)
    assert key, made.text[:300]
    program.shown_once.add(key[0])
    assert program("GET", "/api/drafts", headers={"Authorization": f"Bearer {key[0]}"}).status == 200
    program(
        "POST",
        "/settings/account/password",
        form={"old": PASSWORD, "new": NEW_PASSWORD, "repeated": NEW_PASSWORD},
    )
    program("POST", "/api/webhooks/resend", body=b"{}", headers={"svix-id": "a", "svix-signature": "v1,x"})
    program("POST", "/api/drafts", body=b'{"to": "\x00', headers={"Content-Type": "application/json"})
    for path in (
        "/",
        "/drafts",
        "/sends",
        "/activity",
        "/settings/integrations",
        "/settings/api-keys",
        "/api/events",
    ):
        program("GET", path)
    for path in ("/api/integrations", "/api/sends", "/api/drafts", "/metrics", "/openapi.json", "/nowhere"):
        program("GET", path)


def rows(database_url: str) -> Iterator[tuple[str, str]]:
    """Every value of every column of every table, as text, with where it stands."""
    engine = engine_for(parse_url(database_url))
    try:
        with engine.connect() as connection:
            for table in metadata.sorted_tables:
                for row in connection.execute(select(table)):
                    for column, value in row._mapping.items():
                        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
                        yield f"{table.name}.{column}", text
    finally:
        engine.dispose()


def spellings(secret: str) -> set[str]:
    raw = secret.encode()
    return {
        secret,
        quote(secret, safe=""),
        raw.hex(),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }


def challenges_met_by(text: str) -> set[str]:
    """S256 challenges of everything in ``text`` that could be a PKCE verifier."""
    return {
        base64.urlsafe_b64encode(hashlib.sha256(word.encode()).digest()).rstrip(b"=").decode()
        for word in TOKEN_LIKE.findall(text)
    }


def everything_secret(box: RunningSandbox, *, key: str, program: Program) -> set[str]:
    credentials = box.world.credentials
    known = {PASSWORD, NEW_PASSWORD, key, program.cookie or "", *program.shown_once}
    known |= {*credentials.codes, *credentials.access_tokens, *credentials.refresh_tokens}
    known |= {value for name, value in box.environment.items() if "SECRET" in name or "API_KEY" in name}
    known |= {code.nonce for code in credentials.codes.values() if code.nonce}
    return known - {""}


def test_no_secret_is_anywhere_in_the_clear(database_url: str, tmp_path: Path) -> None:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    with sandbox() as box, serving(database_url, tmp_path, box=box, key=key) as program:
        lead_through_everything(program, box, tmp_path)
        assert len(box.world.ledger) >= 4
        program.process.send_signal(signal.SIGTERM)
        program.process.wait(timeout=60)
        hidden = everything_secret(box, key=key, program=program)
        challenges = {code.challenge for code in box.world.credentials.codes.values()}

    output = (tmp_path / "output").read_text(errors="replace")
    kept = list(rows(database_url))
    places = [("output", output), *(("an answer", said) for said in program.heard), *kept]
    assert len(kept) > 100
    assert "attempt.ended" in output
    assert len(hidden) > 15
    for where, text in places:
        for secret in hidden:
            allowed = secret in program.shown_once and where in ("an answer", "output")
            found = [spelling for spelling in spellings(secret) if spelling in text]
            assert allowed or not found, f"a secret that begins with {secret[:4]}… stands in {where}"
        assert not challenges & challenges_met_by(text), f"a code verifier stands in {where}"
    assert SUBJECT not in output, "what a mail says has no place in the log"
    assert "bob@example.com" not in output, "whom it goes to has no place in the log"


def test_the_search_finds_what_is_there() -> None:
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()

    assert challenge in challenges_met_by(f'{{"verifier": "{verifier}"}}')
    assert any(spelling in "x=" + b"canary".hex() for spelling in spellings("canary"))
    assert any(spelling in base64.b64encode(b"canary").decode() for spelling in spellings("canary"))
