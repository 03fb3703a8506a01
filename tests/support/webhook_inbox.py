"""A small HTTP server that takes webhooks and keeps them."""

import http.server
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message


@dataclass(frozen=True)
class Post:
    """One request, as it came."""

    path: str
    headers: Message
    body: bytes


@dataclass
class WebhookInbox:
    """What arrived at `url`. `answers` are the statuses given next, oldest first; then 200."""

    url: str
    answers: list[int] = field(default_factory=list)
    _posts: "queue.Queue[Post]" = field(default_factory=queue.Queue)

    def take(self, count: int = 1) -> list[Post]:
        """The next `count` posts; waits for each. Raises `queue.Empty` when one does not come."""
        return [self._posts.get(timeout=20) for _ in range(count)]

    @property
    def is_empty(self) -> bool:
        """Whether everything that arrived was taken."""
        return self._posts.empty()


@contextmanager
def webhook_inbox() -> Iterator[WebhookInbox]:
    """Run an inbox for as long as the block lasts."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = inbox.answers.pop(0) if inbox.answers else 200
            inbox._posts.put(Post(self.path, self.headers, body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        inbox = WebhookInbox(f"http://127.0.0.1:{server.server_port}/api/webhooks/resend")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield inbox
        finally:
            server.shutdown()
            thread.join()
