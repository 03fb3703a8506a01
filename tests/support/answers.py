"""Reading the app's answers in tests."""

from typing import Any

from support.plain_http import Answer


def error_of(answer: Answer) -> dict[str, Any]:
    """The error in our one shape; fails when the answer has another."""
    assert answer.headers.get_content_type() == "application/json", answer.body[:300]
    body = answer.json
    assert set(body) == {"error"}, body
    error: dict[str, Any] = body["error"]
    assert set(error) <= {"code", "message", "details"}, error
    assert isinstance(error["code"], str)
    assert isinstance(error["message"], str)
    assert error["message"].strip()
    assert "Traceback" not in answer.text
    return error


def made(answer: Answer, *, status: int = 201) -> dict[str, Any]:
    """The JSON object that was made or found."""
    assert answer.status == status, answer.text
    body: dict[str, Any] = answer.json
    return body


def multipart(
    fields: dict[str, str], files: list[tuple[str, str, str, bytes]], *, boundary: str = "b0und4ry"
) -> tuple[bytes, dict[str, str]]:
    """A multipart/form-data body and its headers; a file is (field, file name, content type, content)."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for name, filename, content_type, content in files:
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
            f"Content-Type: {content_type}\r\n\r\n"
        )
        parts.append(head.encode() + content + b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), {"Content-Type": f"multipart/form-data; boundary={boundary}"}
