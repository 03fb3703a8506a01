"""Keys as an operator gives them."""

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from replysequence.domain.errors import InvalidInput
from replysequence.storage.keys import Key, create_key_file, format_keys, parse_keys, read_key_file

GOOD = base64.b64encode(bytes(32)).decode()


def test_several_keys_are_read_in_their_order() -> None:
    keys = (Key("new", bytes(range(32))), Key("old-1_a", bytes(32)))
    assert parse_keys(format_keys(keys)) == keys
    assert parse_keys(f" new:{base64.b64encode(keys[0].value).decode()} , old-1_a:{GOOD}\n") == keys


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        GOOD,
        f":{GOOD}",
        f"a b:{GOOD}",
        f"a.b:{GOOD}",
        f"{'k' * 33}:{GOOD}",
        "k1:",
        "k1:correct horse battery staple",
        "k1:" + base64.b64encode(bytes(31)).decode(),
        "k1:" + base64.b64encode(bytes(33)).decode(),
        f"k1:{GOOD}!",
        f"k1:{GOOD},k1:{GOOD}",
        f"k1:{GOOD},",
    ],
)
def test_a_key_that_is_none_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_keys(text)
    assert refused.value.field == "ENCRYPTION_KEYS"
    assert "AAAA" not in str(refused.value)
    assert "horse" not in str(refused.value)


def test_a_key_file_is_made_for_its_owner_only_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "data" / "keys"
    made = create_key_file(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_key_file(file) == made
    assert create_key_file(file) == made, "an existing file is never replaced"
    assert [path.name for path in file.parent.iterdir()] == ["keys"]


def test_processes_that_make_a_key_file_at_once_get_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(create_key_file, [tmp_path / "keys"] * 16))
    assert len(set(made)) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o660, 0o644, 0o666, 0o601])
def test_a_key_file_that_others_can_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    create_key_file(tmp_path / "keys")
    (tmp_path / "keys").chmod(mode)
    with pytest.raises(InvalidInput, match="chmod 600"):
        read_key_file(tmp_path / "keys")


def test_a_folder_or_a_pipe_is_no_key_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("folder", "pipe"):
        with pytest.raises((InvalidInput, IsADirectoryError)):
            read_key_file(tmp_path / name)
