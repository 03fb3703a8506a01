"""What is shipped to browsers is what it says it is."""

import hashlib
import re

from replysequence.web.rendering import STATIC


def test_the_vendored_script_is_the_one_that_its_readme_names() -> None:
    readme = (STATIC / "vendor" / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w[\w.-]+\.js)`.*`([0-9a-f]{64})`", readme)
    assert [name for name, _ in named] == [file.name for file in (STATIC / "vendor").glob("*.js")]
    for name, digest in named:
        assert hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == digest


def test_our_own_script_evaluates_nothing_and_writes_no_markup_of_others() -> None:
    script = (STATIC / "app.js").read_text(encoding="utf-8")
    assert not re.search(
        r"\beval\(|new Function|document\.write|insertAdjacentHTML|\.innerHTML\s*=|outerHTML\s*=", script
    )
