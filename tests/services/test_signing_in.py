"""Who people are: one set-up, invitations, sessions that end, keys, and the same answer to every wrong guess."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from replysequence.domain.errors import (
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    NotSignedIn,
    TooManyRequests,
)
from replysequence.domain.event import Kind
from replysequence.services import signing_in
from replysequence.services.signing_in import Person, Session, SigningIn
from replysequence.storage.database import Transaction, now
from replysequence.storage.sessions import IDLE, LIFETIME
from replysequence.storage.tables import invitations, sessions
from support.office import Office, Opening, eventually

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def hashing_is_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The strength of the hash is not what these tests are about."""
    quick = type(signing_in._HASHER)(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(signing_in, "_HASHER", quick)


def verbs(it: Office) -> SigningIn:
    return it.app.services.signing_in


async def add(it: Office, name: str, *, is_admin: bool = False) -> Person:
    return await verbs(it).add(
        email=f"{name}@team.example", name=name.title(), password=PASSWORD, is_admin=is_admin
    )


async def sign_in(it: Office, name: str, *, password: str = PASSWORD, client: str = "c") -> Session:
    return await verbs(it).sign_in(f"{name}@team.example", password=password, client=client)


def token(session: Session) -> str:
    assert session.token is not None
    return session.token.reveal()


async def age(it: Office, column: str, by: timedelta) -> None:
    def work(transaction: Transaction) -> None:
        transaction.execute(update(sessions).values({column: now(transaction) - by}))

    await it.app.database.transaction(work)


async def test_of_twenty_people_with_the_set_up_link_one_becomes_the_administrator(office: Opening) -> None:
    async with office() as it:
        assert await verbs(it).needs_setup()
        link = await verbs(it).setup_token()
        assert link is not None
        joined = await asyncio.gather(
            *(
                verbs(it).join(link.reveal(), email=f"p{n}@team.example", name=f"P{n}", password=PASSWORD)
                for n in range(20)
            ),
            return_exceptions=True,
        )
        winners = [each for each in joined if isinstance(each, Session)]
        assert [winner.person.is_admin for winner in winners] == [True]
        assert [type(each) for each in joined].count(NotFound) == 19
        assert len(await verbs(it).people(winners[0].person)) == 1
        assert not await verbs(it).needs_setup()
        assert await verbs(it).setup_token() is None


async def test_a_new_set_up_link_ends_the_one_before(office: Opening) -> None:
    async with office() as it:
        first, second = await verbs(it).setup_token(), await verbs(it).setup_token()
        assert first is not None
        assert second is not None
        with pytest.raises(NotFound):
            await verbs(it).invitation(first.reveal())
        assert (await verbs(it).invitation(second.reveal())).is_admin


async def test_an_invitation_is_for_one_address_and_one_time(office: Opening) -> None:
    async with office() as it:
        alice = await add(it, "alice", is_admin=True)
        link = (await verbs(it).invite(alice, email="Bob@Team.example", is_admin=False)).reveal()
        assert (await verbs(it).invitation(link)).email == "bob@team.example"
        with pytest.raises(InvalidInput) as other:
            await verbs(it).join(link, email="charlie@team.example", name="Charlie", password=PASSWORD)
        assert other.value.field == "email"
        bob = await verbs(it).join(link, email="bob@team.example", name="Bob", password=PASSWORD)
        assert not bob.person.is_admin
        with pytest.raises(NotFound):
            await verbs(it).join(link, email="bob@team.example", name="Bob", password=PASSWORD)
        with pytest.raises(NotAllowed):
            await verbs(it).invite(bob.person, email="charlie@team.example", is_admin=True)
        with pytest.raises(NotAllowed):
            await verbs(it).people(bob.person)
        with pytest.raises(Conflict):
            await verbs(it).invite(alice, email="bob@team.example", is_admin=False)
        kinds = [event.kind for event in (await it.app.services.history.events(bob.person.id)).items]
        assert kinds == [Kind.USER_SIGNED_IN, Kind.USER_JOINED]


async def test_an_invitation_that_is_too_old_is_none(office: Opening) -> None:
    def expire(transaction: Transaction) -> None:
        transaction.execute(update(invitations).values(expires_at=now(transaction)))

    async with office() as it:
        alice = await add(it, "alice", is_admin=True)
        link = await verbs(it).invite(alice, email="bob@team.example", is_admin=False)
        await it.app.database.transaction(expire)
        with pytest.raises(NotFound):
            await verbs(it).join(link.reveal(), email="bob@team.example", name="Bob", password=PASSWORD)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "nobody"),
        ("name", " "),
        ("name", "a\nb"),
        ("password", "short"),
        ("password", "x" * 1025),
    ],
)
async def test_an_account_that_cannot_be_made_names_the_field(
    office: Opening, field: str, value: str
) -> None:
    given = {"email": "alice@team.example", "name": "Alice", "password": PASSWORD, field: value}
    async with office() as it:
        with pytest.raises(InvalidInput) as refused:
            await verbs(it).add(is_admin=False, **given)
        assert refused.value.field == field


async def test_a_session_lives_until_it_idles_or_ends_or_is_ended(office: Opening) -> None:
    async with office() as it:
        alice = await add(it, "alice")
        idle = await sign_in(it, "alice")
        found = await verbs(it).session(token(idle))
        assert found is not None
        assert (found.person, found.token) == (alice, None)
        await age(it, "last_seen_at", IDLE - timedelta(minutes=1))
        assert await verbs(it).session(token(idle)) is not None, "and that use keeps it alive"
        await age(it, "last_seen_at", IDLE)
        assert await verbs(it).session(token(idle)) is None

        old = await sign_in(it, "alice")
        assert old.expires_at - found.expires_at < LIFETIME
        await age(it, "expires_at", timedelta())
        assert await verbs(it).session(token(old)) is None

        ended = await sign_in(it, "alice")
        await verbs(it).sign_out(ended.hash)
        assert await verbs(it).session(token(ended)) is None
        assert await verbs(it).session("nonsense") is None


async def test_a_new_password_ends_every_other_session(office: Opening) -> None:
    async with office() as it:
        alice = await add(it, "alice")
        here, there = await sign_in(it, "alice"), await sign_in(it, "alice")
        change = verbs(it).change_password
        with pytest.raises(InvalidInput) as wrong:
            await change(alice.id, session_hash=here.hash, old="not it at all", new="another password")
        assert wrong.value.field == "old"
        await change(alice.id, session_hash=here.hash, old=PASSWORD, new="another password")
        assert await verbs(it).session(token(here)) is not None
        assert await verbs(it).session(token(there)) is None
        with pytest.raises(NotSignedIn):
            await sign_in(it, "alice")
        await sign_in(it, "alice", password="another password")
        kinds = [event.kind for event in (await it.app.services.history.events(alice.id)).items]
        assert kinds.count(Kind.USER_PASSWORD_CHANGED) == 1
        await verbs(it).reset_password(email="alice@team.example", password=PASSWORD)
        assert await verbs(it).session(token(here)) is None


def test_nobodys_hash_is_as_dear_to_check_as_anybodys_and_no_password_has_it() -> None:
    made_up = signing_in._nobodys_hash()

    assert not signing_in._HASHER.check_needs_rehash(made_up)
    assert not signing_in._verify(made_up, PASSWORD)


async def test_an_unknown_address_and_a_wrong_password_get_the_same_answer(office: Opening) -> None:
    async with office() as it:
        alice = await add(it, "alice")
        answers = set()
        for name, password in (("alice", "wrong password"), ("nobody", PASSWORD), ("alice", "\ud800")):
            with pytest.raises(NotSignedIn) as refused:
                await sign_in(it, name, password=password)
            answers.add((refused.value.code, refused.value.message, str(refused.value.details)))
        assert len(answers) == 1
        kinds = [event.kind for event in (await it.app.services.history.events(alice.id)).items]
        assert kinds.count(Kind.USER_SIGN_IN_FAILED) == 2


async def test_guessing_is_slowed_down_for_the_account_and_for_the_guesser(office: Opening) -> None:
    async def guess(it: Office, name: str, *, client: str) -> type[Exception]:
        try:
            await sign_in(it, name, password="wrong password", client=client)
        except (NotSignedIn, TooManyRequests) as error:
            return type(error)
        raise AssertionError("it was right")

    async with office() as it:
        await add(it, "alice")
        await add(it, "bob")
        guesses = [await guess(it, "alice", client=f"c{n}") for n in range(11)]
        assert guesses == [NotSignedIn] * 10 + [TooManyRequests]
        with pytest.raises(TooManyRequests):
            await sign_in(it, "alice")  # also with the right password: else guessing would show
        await sign_in(it, "bob")
        guesses = [await guess(it, f"p{n}", client="bad") for n in range(51)]
        assert guesses == [NotSignedIn] * 50 + [TooManyRequests]


async def test_an_api_key_works_until_it_is_revoked_and_is_shown_once(office: Opening) -> None:
    async with office() as it:
        alice, charlie = await add(it, "alice"), await add(it, "charlie")
        made, key = await verbs(it).create_api_key(alice.id, name="zapier")
        assert key.reveal().startswith("rs_")
        assert made.prefix == key.reveal()[:8]
        assert await verbs(it).person_of_key(key.reveal()) == alice

        async def noted() -> bool:
            (listed,) = await verbs(it).api_keys(alice.id)
            assert listed.id == made.id
            return listed.last_used_at is not None

        await eventually(noted)
        with pytest.raises(NotFound):
            await verbs(it).revoke_api_key(charlie.id, key_id=made.id)
        await verbs(it).revoke_api_key(alice.id, key_id=made.id)
        assert await verbs(it).person_of_key(key.reveal()) is None
        assert await verbs(it).api_keys(alice.id) == []
        with pytest.raises(InvalidInput):
            await verbs(it).create_api_key(alice.id, name=" ")


async def test_a_link_from_the_command_line_signs_in_once(office: Opening) -> None:
    async with office() as it:
        alice = await add(it, "alice", is_admin=True)
        link = (await verbs(it).sign_in_link("alice@team.example")).reveal()
        assert (await verbs(it).sign_in_with_link(link)).person == alice
        with pytest.raises(NotFound):
            await verbs(it).sign_in_with_link(link)
        with pytest.raises(NotFound):
            await verbs(it).sign_in_link("nobody@team.example")
        invitation = (await verbs(it).invite(alice, email="bob@team.example", is_admin=False)).reveal()
        with pytest.raises(NotFound):
            await verbs(it).sign_in_with_link(invitation)
        assert (await verbs(it).invitation(invitation)).email == "bob@team.example", "it was not used up"


async def test_a_name_can_be_changed(office: Opening) -> None:
    async with office() as it:
        alice = await add(it, "alice")
        await verbs(it).change_name(alice.id, name="  Alice Ng ")
        assert (await sign_in(it, "alice")).person.name == "Alice Ng"
        with pytest.raises(InvalidInput):
            await verbs(it).change_name(alice.id, name="")


async def test_a_browser_tells_the_time_zone_once_and_what_is_chosen_stays(office: Opening) -> None:
    async with office() as it:
        alice = await add(it, "alice")
        assert (alice.time_zone, alice.undo_seconds) == (None, 10)

        async def told(name: str) -> str | None:
            await verbs(it).learn_time_zone((await sign_in(it, "alice")).person, name=name)
            return (await sign_in(it, "alice")).person.time_zone

        assert await told("Mars/Olympus") is None
        assert await told("") is None
        assert await told("Asia/Calcutta") == "Asia/Calcutta"
        assert await told("Europe/Berlin") == "Asia/Calcutta"
        await verbs(it).change_sending(alice.id, time_zone="UTC", undo_seconds=0)
        assert await told("Europe/Berlin") == "UTC"


async def test_a_person_chooses_zone_and_time_to_undo_and_only_such_as_there_are(office: Opening) -> None:
    async with office() as it:
        alice = await add(it, "alice")
        for time_zone, undo_seconds, field in (
            ("Atlantis", 5, "time_zone"),
            ("Europe/Berlin", 7, "undo_seconds"),
            ("Europe/Berlin", -1, "undo_seconds"),
        ):
            with pytest.raises(InvalidInput) as refused:
                await verbs(it).change_sending(alice.id, time_zone=time_zone, undo_seconds=undo_seconds)
            assert refused.value.field == field
        for seconds in signing_in.UNDO_CHOICES:
            await verbs(it).change_sending(alice.id, time_zone="berlin", undo_seconds=seconds)
            person = (await sign_in(it, "alice")).person
            assert (person.time_zone, person.undo_seconds) == ("Europe/Berlin", seconds)
