"""Accounts, sessions, API keys and invitations."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256

import pytest
from sqlalchemy import Connection, Table, select, update

from replysequence.domain.errors import Conflict, NotFound
from replysequence.domain.event import Kind
from replysequence.storage import api_keys, events, invitations, sessions, users
from replysequence.storage import tables as t
from replysequence.storage.database import Database
from replysequence.storage.ids import new_id

SECOND = timedelta(seconds=1)


def digest(word: str) -> str:
    return sha256(word.encode()).hexdigest()


def move_back(database: Database, table: Table, column: str, by: timedelta) -> None:
    """Make the rows of `table` older: no test waits."""

    def work(connection: Connection) -> None:
        moved = table.c[column]
        for key, moment in connection.execute(select(table.primary_key.columns[0], moved)).all():
            same = table.primary_key.columns[0] == key
            connection.execute(update(table).where(same).values({column: moment - by}))

    database.run(work)


def sign_in(database: Database, user_id: str, token: str) -> str:
    database.run(sessions.create, user_id=user_id, token_hash=digest(token))
    return digest(token)


def test_one_address_is_one_account_however_it_is_written(database: Database, alice: str) -> None:
    assert database.run(users.anybody)
    with pytest.raises(Conflict) as refused:
        database.run(users.create, email=" Alice@TEAM.example", name="A", password_hash="-", is_admin=True)
    assert refused.value.code == "email_taken"
    found = database.run(users.login, email="ALICE@team.example ")
    assert found is not None
    assert found.user == database.run(users.get, user_id=alice)
    assert database.run(users.login, email="nobody@team.example") is None
    assert [user.email for user in database.run(users.everybody)] == ["alice@team.example"]


def test_of_many_who_take_an_address_at_once_one_gets_it(database: Database) -> None:
    assert not database.run(users.anybody)

    def join(number: int) -> bool:
        try:
            database.run(
                users.create, email="x@team.example", name=str(number), password_hash="-", is_admin=True
            )
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(join, range(16))).count(True) == 1


def test_a_name_and_a_password_change_for_their_owner_only(database: Database, alice: str, bob: str) -> None:
    database.run(users.set_name, user_id=alice, name="Alicia")
    database.run(users.set_password, user_id=alice, password_hash="new")
    login = database.run(users.login_of, user_id=alice)
    assert (login.user.name, login.password_hash) == ("Alicia", "new")
    assert "new" not in repr(login)
    other = database.run(users.login_of, user_id=bob)
    assert (other.user.name, other.password_hash) == ("Bob", "-")
    assert database.run(events.list_for_user, user_id=alice)[0].kind is Kind.USER_PASSWORD_CHANGED
    for act in (users.get, users.login_of, users.lock):
        with pytest.raises(NotFound):
            database.run(act, user_id=new_id())
    with pytest.raises(NotFound):
        database.run(users.set_name, user_id=new_id(), name="Nobody")


def test_a_session_is_found_by_its_token_until_it_is_ended(database: Database, alice: str, bob: str) -> None:
    here, there, his = (sign_in(database, *who) for who in ((alice, "here"), (alice, "there"), (bob, "his")))
    found = database.run(sessions.find, token_hash=here)
    assert found is not None
    assert (found.user.id, found.needs_touch) == (alice, False)
    assert database.run(sessions.find, token_hash=digest("guess")) is None
    assert database.run(sessions.end_others, user_id=alice, keep=here) == 1
    assert database.run(sessions.find, token_hash=there) is None
    assert database.run(sessions.find, token_hash=his) is not None
    database.run(sessions.end, token_hash=here)
    assert database.run(sessions.find, token_hash=here) is None
    assert database.run(sessions.end_others, user_id=bob, keep=None) == 1


@pytest.mark.parametrize(
    ("column", "limit"), [("last_seen_at", sessions.IDLE), ("expires_at", sessions.LIFETIME)]
)
def test_a_session_ends_by_itself_and_cannot_be_revived(
    column: str, limit: timedelta, database: Database, alice: str
) -> None:
    token_hash = sign_in(database, alice, "token")
    move_back(database, t.sessions, column, limit - 60 * SECOND)
    assert database.run(sessions.find, token_hash=token_hash) is not None
    assert database.run(sessions.forget_ended) == 0
    move_back(database, t.sessions, column, 61 * SECOND)
    assert database.run(sessions.find, token_hash=token_hash) is None
    database.run(sessions.touch, token_hash=token_hash)
    assert database.run(sessions.find, token_hash=token_hash) is None
    assert database.run(sessions.forget_ended) == 1


def test_the_last_use_of_a_session_is_noted_every_few_minutes(database: Database, alice: str) -> None:
    token_hash = sign_in(database, alice, "token")
    move_back(database, t.sessions, "last_seen_at", sessions.SEEN_EVERY + SECOND)
    idle = database.run(sessions.find, token_hash=token_hash)
    assert idle is not None
    assert idle.needs_touch
    database.run(sessions.touch, token_hash=token_hash)
    used = database.run(sessions.find, token_hash=token_hash)
    assert used is not None
    assert not used.needs_touch


def test_an_api_key_works_until_its_owner_revokes_it(database: Database, alice: str, charlie: str) -> None:
    made = database.run(
        api_keys.create, user_id=alice, name="CRM import", prefix="rs_abc", key_hash=digest("rs_abc…")
    )
    found = database.run(api_keys.find, key_hash=digest("rs_abc…"))
    assert found is not None
    assert (found.user.id, found.key_id, found.needs_touch) == (alice, made.id, True)
    database.run(api_keys.touch, user_id=charlie, key_id=made.id)
    assert database.run(api_keys.list_for_user, user_id=alice) == [made], "a stranger's touch does nothing"
    database.run(api_keys.touch, user_id=alice, key_id=made.id)
    again = database.run(api_keys.find, key_hash=digest("rs_abc…"))
    assert again is not None
    assert not again.needs_touch
    with pytest.raises(NotFound):
        database.run(api_keys.revoke, user_id=charlie, key_id=made.id)
    assert database.run(api_keys.list_for_user, user_id=charlie) == []
    database.run(api_keys.revoke, user_id=alice, key_id=made.id)
    assert database.run(api_keys.find, key_hash=digest("rs_abc…")) is None
    assert database.run(api_keys.list_for_user, user_id=alice) == []
    with pytest.raises(NotFound):
        database.run(api_keys.revoke, user_id=alice, key_id=made.id)
    kinds = [event.kind for event in database.run(events.list_for_user, user_id=alice)]
    assert kinds[:2] == [Kind.API_KEY_REVOKED, Kind.API_KEY_CREATED]


def test_an_invitation_is_used_once_however_many_try(database: Database, alice: str) -> None:
    made = database.run(
        invitations.create,
        token_hash=digest("link"),
        email="dora@team.example",
        is_admin=False,
        invited_by=alice,
    )
    assert database.run(invitations.find, token_hash=digest("link")) == made

    def use(_: int) -> bool:
        try:
            return database.run(invitations.use, token_hash=digest("link")) == made
        except NotFound:
            return False

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(use, range(20))).count(True) == 1
    with pytest.raises(NotFound):
        database.run(invitations.find, token_hash=digest("link"))
    assert database.run(events.list_for_user, user_id=alice)[0].kind is Kind.USER_INVITED


def test_an_invitation_that_could_not_be_used_is_not_used_up(database: Database, alice: str) -> None:
    """Joining uses the invitation and makes the account in one transaction."""
    database.run(invitations.create, token_hash=digest("link"), email=None, is_admin=False, invited_by=alice)

    def join(connection: Connection) -> None:
        invitations.use(connection, token_hash=digest("link"))
        users.create(connection, email="alice@team.example", name="A", password_hash="-", is_admin=False)

    with pytest.raises(Conflict):
        database.run(join)
    assert database.run(invitations.find, token_hash=digest("link")).invited_by == alice


def test_an_invitation_runs_out(database: Database, alice: str) -> None:
    database.run(invitations.create, token_hash=digest("link"), email=None, is_admin=True, invited_by=alice)
    move_back(database, t.invitations, "expires_at", invitations.LIFETIME)
    for act in (invitations.find, invitations.use):
        with pytest.raises(NotFound):
            database.run(act, token_hash=digest("link"))


def test_a_new_set_up_link_makes_the_old_one_invalid(database: Database, alice: str) -> None:
    for token, inviter in (("old", None), ("friend", alice)):
        database.run(
            invitations.create, token_hash=digest(token), email=None, is_admin=True, invited_by=inviter
        )
    assert database.run(invitations.forget_setup_links) == 1
    with pytest.raises(NotFound):
        database.run(invitations.find, token_hash=digest("old"))
    assert database.run(invitations.find, token_hash=digest("friend")).is_admin


def test_the_zone_of_a_browser_is_kept_once_and_what_a_person_chose_stays(
    database: Database, alice: str, bob: str
) -> None:
    assert database.run(users.get, user_id=alice).time_zone is None
    database.run(users.learn_time_zone, user_id=alice, time_zone="Europe/Berlin")
    database.run(users.learn_time_zone, user_id=alice, time_zone="Asia/Tokyo")
    learned = database.run(users.get, user_id=alice)
    assert (learned.time_zone, learned.undo_seconds) == ("Europe/Berlin", users.UNDO_SECONDS)

    database.run(users.set_sending, user_id=alice, time_zone="UTC", undo_seconds=0)
    database.run(users.learn_time_zone, user_id=alice, time_zone="Asia/Tokyo")
    chosen = database.run(users.get, user_id=alice)
    assert (chosen.time_zone, chosen.undo_seconds) == ("UTC", 0)
    assert database.run(users.get, user_id=bob).time_zone is None
    with pytest.raises(NotFound):
        database.run(users.set_sending, user_id=new_id(), time_zone="UTC", undo_seconds=0)
