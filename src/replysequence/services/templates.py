"""A person's templates and signature."""

from replysequence.domain.characters import uncarriable, unprintable
from replysequence.domain.errors import InvalidInput
from replysequence.domain.template import (
    BUILT_IN,
    FIELDS,
    MAX_HTML,
    MAX_NAME,
    MAX_SUBJECT,
    Filled,
    Items,
    Markup,
    Template,
    Value,
    fill,
    unknown_fields,
)
from replysequence.services.sanitizing import sanitize
from replysequence.storage import templates
from replysequence.storage.database import Database

EXAMPLE: dict[str, Value] = {
    "first_name": "Maya",
    "meeting_title": "Pilot kick-off",
    "meeting_date": "Monday 23 November",
    "company": "Northwind",
    "summary": "Two teams try the product before the end of the quarter.",
    "action_items": Items(("We set up the pilot by Friday.", "Maya sends the list of people who take part.")),
}
"""What the fields stand for in a preview."""


class Templates:
    """Templates and signatures. HTML is cleaned before it is kept."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def list(self, user_id: str) -> list[Template]:
        """A person's own templates, by name. Who has none uses the one that comes with the program."""
        return await self._database.read(templates.list_for_user, user_id=user_id)

    async def get(self, user_id: str, *, template_id: str) -> Template:
        """One of them. Raises :class:`NotFound`."""
        return await self._database.read(templates.get, user_id=user_id, template_id=template_id)

    async def create(
        self, user_id: str, *, name: str, subject: str, html: str, is_default: bool = False
    ) -> Template:
        """Keep a new template. Raises :class:`InvalidInput`."""
        made = checked(name=name, subject=subject, html=html)
        return await self._database.transaction(
            templates.create,
            user_id=user_id,
            name=made.name,
            subject=made.subject,
            html=made.html,
            is_default=is_default,
        )

    async def change(
        self, user_id: str, *, template_id: str, name: str, subject: str, html: str, is_default: bool = False
    ) -> Template:
        """Replace what a template says. Raises :class:`NotFound` and :class:`InvalidInput`."""
        made = checked(name=name, subject=subject, html=html)
        return await self._database.transaction(
            templates.change,
            user_id=user_id,
            template_id=template_id,
            name=made.name,
            subject=made.subject,
            html=made.html,
            is_default=is_default,
        )

    async def remove(self, user_id: str, *, template_id: str) -> None:
        """Throw a template away. Raises :class:`NotFound`."""
        await self._database.transaction(templates.remove, user_id=user_id, template_id=template_id)

    async def signature(self, user_id: str) -> str:
        """A person's signature as HTML; empty for who has none."""
        return await self._database.read(templates.signature, user_id=user_id)

    async def sign(self, user_id: str, *, html: str) -> str:
        """Change the signature; returns it as it is kept. Raises :class:`InvalidInput`."""
        cleaned = _cleaned("signature", html)
        await self._database.transaction(templates.sign, user_id=user_id, html=cleaned)
        return cleaned

    async def preview(self, user_id: str, *, subject: str, html: str, my_name: str) -> Filled:
        """What a template would become for an example of a meeting. Raises :class:`InvalidInput`."""
        template = checked(name=BUILT_IN.name, subject=subject, html=html)
        values = EXAMPLE | {"my_name": my_name, "signature": Markup(await self.signature(user_id))}
        filled = fill(template, values)
        return Filled(filled.subject, sanitize(filled.html), filled.missing)


def checked(*, name: str, subject: str, html: str) -> Template:
    """A template with these parts, its HTML cleaned. Raises :class:`InvalidInput`."""
    name, subject = name.strip(), " ".join(subject.split())
    if not name or len(name) > MAX_NAME:
        raise InvalidInput("name", f"A template needs a name of at most {MAX_NAME} characters.")
    if len(subject) > MAX_SUBJECT:
        raise InvalidInput("subject", f"The subject is longer than {MAX_SUBJECT} characters.")
    for field, text in (("name", name), ("subject", subject)):
        fault = unprintable(text)
        if fault:
            raise InvalidInput(field, f"This holds {fault}. Remove it.")
    if not html.strip():
        raise InvalidInput("html", "Write something for the message.")
    for field, text in (("subject", subject), ("html", html)):
        unknown = unknown_fields(text)
        if unknown:
            known = ", ".join(FIELDS)
            raise InvalidInput(field, f"There is no field called {unknown[0]}. The fields are {known}.")
    return Template("", name, subject, _cleaned("html", html), is_default=False)


def _cleaned(field: str, html: str) -> str:
    if len(html) > MAX_HTML:
        raise InvalidInput(field, f"This is longer than {MAX_HTML:,} characters.")
    fault = uncarriable(html)
    if fault:
        raise InvalidInput(field, f"This holds {fault}, which cannot be used.")
    return sanitize(html).strip()
