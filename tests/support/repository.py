"""What the repository holds, as git tracks it, and what must not stand in it."""

import base64
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Written so that this file does not name what it looks for.
_HOST = "cHlwaVwub3JnfHB5dGhvbmhvc3RlZFwub3JnfHJlZ2lzdHJ5XC5ucG1qc3xucG1qc1wuY29tfGRlYlwuZGViaWFuXC5vcmc="
_MACHINE_PATH = (
    "KD88IVtBLVphLXowLTlfLi1dKS8oPzp3b3JrfHJvb3R8ZmFybXxob21lL1thLXpdK3xVc2Vycy9bYS16XSt8dG1wL2Jhc2hfam9icykv"
)
_FORBIDDEN = {"a package registry's host": _HOST, "a path of one machine": _MACHINE_PATH}
FORBIDDEN = {name: re.compile(base64.b64decode(text).decode()) for name, text in _FORBIDDEN.items()}

REQUIREMENT = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>\S+)(?P<marker> ; .+?)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def tracked_files() -> list[Path]:
    """Every file that git tracks, from the root of the repository."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


def tracked_texts() -> dict[str, str]:
    """The text of each tracked file that has one, by its name; other people's minified scripts left out."""
    texts = {}
    for file in tracked_files():
        content = file.read_bytes()
        if b"\0" not in content and not file.name.endswith(".min.js"):
            texts[str(file.relative_to(ROOT))] = content.decode("utf-8")
    return texts


def forbidden_in(text: str) -> list[str]:
    """Each line of `text` that names what no file may name, with the reason."""
    return [
        f"{number}: {reason}: {line.strip()[:100]}"
        for number, line in enumerate(text.splitlines(), start=1)
        for reason, pattern in FORBIDDEN.items()
        if pattern.search(line)
    ]


def locked_versions(lock: str) -> dict[str, str]:
    """Name to version of what a lock file holds. Raises ValueError at a line that is no pin, hash or comment,
    and at a pin without a hash."""
    versions: dict[str, str] = {}
    hashed: set[str] = set()
    name = ""
    for line in lock.splitlines():
        if line.lstrip().startswith("#"):
            continue
        if pin := REQUIREMENT.match(line):
            name = pin["name"]
            versions[name] = pin["version"]
        elif HASH.match(line) and name:
            hashed.add(name)
        else:
            raise ValueError(f"neither a pin nor a hash: {line}")
    if unhashed := versions.keys() - hashed:
        raise ValueError(f"without a hash: {sorted(unhashed)}")
    return versions


def requirement_name(requirement: str) -> str:
    """`PyJWT[crypto]>=2` gives `pyjwt`."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    if not found:
        raise ValueError(f"no requirement: {requirement}")
    return found[0].lower().replace("_", "-")
