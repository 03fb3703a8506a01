"""A person's templates and signature. While somebody has templates, exactly one of them is the default."""

from sqlalchemy import Connection, delete, insert, select, update

from replysequence.domain.errors import NotFound
from replysequence.domain.template import Template
from replysequence.storage import users
from replysequence.storage.database import AnyRow, now
from replysequence.storage.ids import new_id
from replysequence.storage.tables import templates
from replysequence.storage.tables import users as users_table

_T = templates.c


def list_for_user(connection: Connection, *, user_id: str) -> list[Template]:
    """A person's templates, by name."""
    wanted = select(templates).where(_T.user_id == user_id).order_by(_T.name, _T.id)
    return [_template(row) for row in connection.execute(wanted)]


def get(connection: Connection, *, user_id: str, template_id: str) -> Template:
    """One template. Raises NotFound."""
    row = connection.execute(
        select(templates).where(_T.user_id == user_id, _T.id == template_id)
    ).one_or_none()
    if row is None:
        raise NotFound("template")
    return _template(row)


def default(connection: Connection, *, user_id: str) -> Template | None:
    """The template that follow-ups are made from unless another one is chosen; none for who has none."""
    row = connection.execute(select(templates).where(_T.user_id == user_id, _T.is_default)).one_or_none()
    return None if row is None else _template(row)


def create(
    connection: Connection, *, user_id: str, name: str, subject: str, html: str, is_default: bool
) -> Template:
    """Keep a new template. The first one is the default in any case. Raises NotFound when the person is gone."""
    users.lock(connection, user_id=user_id)
    moment, template_id = now(connection), new_id()
    first = default(connection, user_id=user_id) is None
    connection.execute(
        insert(templates).values(
            id=template_id,
            user_id=user_id,
            name=name,
            subject=subject,
            html=html,
            is_default=first,
            created_at=moment,
            updated_at=moment,
        )
    )
    if is_default and not first:
        _make_default(connection, user_id=user_id, template_id=template_id)
    return get(connection, user_id=user_id, template_id=template_id)


def change(
    connection: Connection,
    *,
    user_id: str,
    template_id: str,
    name: str,
    subject: str,
    html: str,
    is_default: bool,
) -> Template:
    """Replace what a template says; the default stays it until another one becomes it. Raises NotFound."""
    users.lock(connection, user_id=user_id)
    found = connection.execute(
        update(templates)
        .where(_T.user_id == user_id, _T.id == template_id)
        .values(name=name, subject=subject, html=html, updated_at=now(connection))
    ).rowcount
    if not found:
        raise NotFound("template")
    if is_default:
        _make_default(connection, user_id=user_id, template_id=template_id)
    return get(connection, user_id=user_id, template_id=template_id)


def remove(connection: Connection, *, user_id: str, template_id: str) -> None:
    """Throw a template away; another one becomes the default if it was that. Raises NotFound."""
    users.lock(connection, user_id=user_id)
    gone = connection.execute(delete(templates).where(_T.user_id == user_id, _T.id == template_id)).rowcount
    if not gone:
        raise NotFound("template")
    left = list_for_user(connection, user_id=user_id)
    if left and not any(each.is_default for each in left):
        _make_default(connection, user_id=user_id, template_id=left[0].id)


def signature(connection: Connection, *, user_id: str) -> str:
    """A person's signature as HTML; empty for who has none. Raises NotFound when the person is gone."""
    row = connection.execute(select(users_table.c.signature).where(users_table.c.id == user_id)).one_or_none()
    if row is None:
        raise NotFound("user")
    return row.signature or ""


def sign(connection: Connection, *, user_id: str, html: str) -> None:
    """Change a person's signature. Raises NotFound when the person is gone."""
    changed = connection.execute(
        update(users_table)
        .where(users_table.c.id == user_id)
        .values(signature=html or None, updated_at=now(connection))
    ).rowcount
    if not changed:
        raise NotFound("user")


def _make_default(connection: Connection, *, user_id: str, template_id: str) -> None:
    connection.execute(update(templates).where(_T.user_id == user_id, _T.is_default).values(is_default=False))
    connection.execute(
        update(templates).where(_T.user_id == user_id, _T.id == template_id).values(is_default=True)
    )


def _template(row: AnyRow) -> Template:
    return Template(
        id=row.id,
        name=row.name,
        subject=row.subject,
        html=row.html,
        is_default=row.is_default,
        updated_at=row.updated_at,
    )
