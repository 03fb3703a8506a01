"""What programs get to know of meetings and templates."""

from datetime import datetime

from pydantic import BaseModel

from replysequence.domain.meeting import Attendee, Response
from replysequence.domain.send import State
from replysequence.domain.template import Template
from replysequence.services.meetings import FollowUp, Line


class AttendeeAnswer(BaseModel):
    """Somebody else in a meeting. ``email`` is empty where nobody tells it. ``came`` is what the platform saw."""

    email: str
    name: str
    response: Response
    came: bool

    @classmethod
    def of(cls, attendee: Attendee) -> "AttendeeAnswer":
        return cls(email=attendee.email, name=attendee.name, response=attendee.response, came=attendee.came)


class FollowUpAnswer(BaseModel):
    """``state`` is that of the latest send, null while it is a draft."""

    draft_id: str
    state: State | None
    send_id: str | None

    @classmethod
    def of(cls, follow_up: FollowUp) -> "FollowUpAnswer":
        return cls(draft_id=follow_up.draft_id, state=follow_up.state, send_id=follow_up.send_id)


class MeetingAnswer(BaseModel):
    """A meeting. ``sources`` name who tells of it; ``came_known``: a platform said who came."""

    id: str
    title: str
    starts_at: datetime
    ends_at: datetime
    all_day: bool
    cancelled: bool
    attendees: list[AttendeeAnswer]
    came_known: bool
    recording: bool
    transcript: bool
    summary: bool
    link: str
    url: str
    sources: list[str]
    can_be_followed_up: bool
    follow_up: FollowUpAnswer | None

    @classmethod
    def of(cls, line: Line) -> "MeetingAnswer":
        meeting = line.meeting
        return cls(
            id=meeting.id,
            title=meeting.title,
            starts_at=meeting.starts_at,
            ends_at=meeting.ends_at,
            all_day=meeting.all_day,
            cancelled=meeting.cancelled,
            attendees=[AttendeeAnswer.of(each) for each in meeting.attendees],
            came_known=meeting.came_known,
            recording=meeting.recording,
            transcript=meeting.transcript,
            summary=meeting.has_summary,
            link=meeting.link,
            url=meeting.url,
            sources=list(line.sources),
            can_be_followed_up=line.can_be_followed_up and line.follow_up is None,
            follow_up=FollowUpAnswer.of(line.follow_up) if line.follow_up else None,
        )


class TemplateAnswer(BaseModel):
    """A template; follow-ups are made from the default one unless another is named."""

    id: str
    name: str
    subject: str
    html: str
    is_default: bool
    updated_at: datetime | None

    @classmethod
    def of(cls, template: Template) -> "TemplateAnswer":
        return cls(
            id=template.id,
            name=template.name,
            subject=template.subject,
            html=template.html,
            is_default=template.is_default,
            updated_at=template.updated_at,
        )


class TemplatesAnswer(BaseModel):
    """A person's own templates, by name. Without any, follow-ups are made from one that comes with the program."""

    items: list[TemplateAnswer]


class SignatureAnswer(BaseModel):
    """A signature as it is kept: cleaned HTML, empty for none."""

    html: str
