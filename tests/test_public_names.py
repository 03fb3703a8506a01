"""The public face is complete, sorted, and does what its first page says."""

import types

import replysequence
from replysequence import Address, DraftContent, Settings, parse_addresses, prepare, read_settings, running


def test_all_lists_every_public_name_in_order() -> None:
    names = {
        name
        for name, value in vars(replysequence).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }

    assert set(replysequence.__all__) == names | {"__version__"}
    assert replysequence.__all__ == sorted(replysequence.__all__)


def a_settings(database_url: str, folder: object) -> Settings:
    return read_settings({"DATABASE_URL": database_url, "REPLYSEQUENCE_DATA_DIR": str(folder)})


async def test_a_program_keeps_a_draft_with_the_library_alone(database_url: str, tmp_path: object) -> None:
    settings = a_settings(database_url, tmp_path)
    prepare(settings)
    async with running(settings) as app:
        alice = await app.services.signing_in.add(
            email="alice@example.com", name="Alice", password="a long password", is_admin=False
        )
        content = DraftContent(to=parse_addresses("Bob <bob@example.com>"), subject="Hello")
        draft = await app.services.drafting.create(alice.id, content=content)

        kept = await app.services.drafting.get(alice.id, draft_id=draft.id)

    assert kept.content.to == (Address("Bob", "bob@example.com"),)
    assert kept.version == 1
