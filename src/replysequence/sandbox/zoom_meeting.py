"""A meeting as Zoom's API shows it (Zoom's Meetings API reference, checked 2026-11-22)."""

import hashlib
from datetime import datetime
from typing import Any

from replysequence.sandbox.accounts import Account
from replysequence.sandbox.meetings import Meeting, Participant


def listed(meeting: Meeting, host: Account) -> dict[str, Any]:
    """As in a list of somebody's meetings. `type` 2 is a scheduled meeting."""
    return {
        "uuid": meeting.uuid,
        "id": int(meeting.code),
        "host_id": host.subject,
        "topic": meeting.title,
        "type": 2,
        "start_time": stamp(meeting.start),
        "duration": meeting.minutes,
        "timezone": meeting.zone,
        "agenda": "",
        "created_at": stamp(meeting.created),
        "join_url": meeting.join_url,
    }


def past(meeting: Meeting, host: Account, *, has_summary: bool) -> dict[str, Any]:
    """As one that was held, with the times as they really were."""
    minutes = sum(int((each.left - each.joined).total_seconds() // 60) for each in meeting.participants)
    return {
        "uuid": meeting.uuid,
        "id": int(meeting.code),
        "host_id": host.subject,
        "type": 2,
        "topic": meeting.title,
        "user_name": host.name,
        "user_email": host.email,
        "start_time": stamp(meeting.began),
        "end_time": stamp(meeting.ended),
        "duration": int((meeting.ended - meeting.began).total_seconds() // 60),
        "total_minutes": minutes,
        "participants_count": len(meeting.participants),
        "dept": "",
        "source": "Zoom",
        "has_meeting_summary": has_summary,
    }


def participant(each: Participant, host: Account, *, number: int) -> dict[str, Any]:
    """Somebody who took part. A guest of another account has neither id nor address."""
    return {
        "id": "" if each.is_guest else host.subject if each.email == host.email else _user_id(each.email),
        "name": each.name,
        "user_id": str(16_778_240 + 1024 * number),
        "registrant_id": "",
        "user_email": "" if each.is_guest else each.email,
        "join_time": stamp(each.joined),
        "leave_time": stamp(each.left),
        "duration": int((each.left - each.joined).total_seconds()),
        "failover": False,
        "status": "in_meeting",
        "internal_user": not each.is_guest,
    }


def summary(meeting: Meeting, host: Account) -> dict[str, Any]:
    """What AI Companion wrote. Only for a meeting that has notes."""
    notes = meeting.notes
    if notes is None:
        raise ValueError(meeting.id)
    return {
        "meeting_host_id": host.subject,
        "meeting_host_email": host.email,
        "meeting_uuid": meeting.uuid,
        "meeting_id": int(meeting.code),
        "meeting_topic": meeting.title,
        "meeting_start_time": stamp(meeting.began),
        "meeting_end_time": stamp(meeting.ended),
        "summary_start_time": stamp(meeting.began),
        "summary_end_time": stamp(meeting.ended),
        "summary_created_time": stamp(meeting.ended),
        "summary_last_modified_time": stamp(meeting.ended),
        "summary_title": f"Meeting summary for {meeting.title}",
        "summary_overview": notes.overview,
        "summary_details": [{"label": label, "summary": text} for label, text in notes.details],
        "next_steps": list(notes.next_steps),
        "summary_content": _content(meeting),
        "summary_doc_url": f"https://docs.zoom.us/doc/{_user_id(meeting.uuid)}",
    }


def recording(meeting: Meeting, host: Account, *, base_url: str) -> dict[str, Any]:
    """As in a list of somebody's cloud recordings."""
    files = [
        _file(meeting, kind, extension, name, base_url=base_url)
        for kind, extension, name in (
            ("MP4", "MP4", "shared_screen_with_speaker_view"),
            ("TRANSCRIPT", "VTT", "audio_transcript"),
        )
        if kind != "TRANSCRIPT" or meeting.lines
    ]
    return {
        "uuid": meeting.uuid,
        "id": int(meeting.code),
        "account_id": host.tenant,
        "host_id": host.subject,
        "topic": meeting.title,
        "type": 2,
        "start_time": stamp(meeting.began),
        "timezone": meeting.zone,
        "duration": int((meeting.ended - meeting.began).total_seconds() // 60),
        "total_size": sum(file["file_size"] for file in files),
        "recording_count": len(files),
        "share_url": f"https://us02web.zoom.us/rec/share/{_user_id(meeting.uuid)}",
        "recording_files": files,
    }


def transcript(meeting: Meeting, host: Account, *, base_url: str) -> dict[str, Any]:
    """Where the transcript can be downloaded."""
    return {
        "meeting_id": meeting.uuid,
        "account_id": host.tenant,
        "meeting_topic": meeting.title,
        "host_id": host.subject,
        "transcript_created_time": stamp(meeting.ended),
        "can_download": True,
        "auto_delete": False,
        "download_url": f"{base_url}/rec/download/{meeting.id}.vtt",
    }


def stamp(moment: datetime) -> str:
    """UTC, in whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _file(meeting: Meeting, kind: str, extension: str, name: str, *, base_url: str) -> dict[str, Any]:
    return {
        "id": hashlib.sha256(f"{meeting.uuid}{kind}".encode()).hexdigest()[:32],
        "meeting_id": meeting.uuid,
        "recording_start": stamp(meeting.began),
        "recording_end": stamp(meeting.ended),
        "file_type": kind,
        "file_extension": extension,
        "file_size": 1024 * (len(meeting.lines) + 1),
        "download_url": f"{base_url}/rec/download/{meeting.id}.{extension.lower()}",
        "status": "completed",
        "recording_type": name,
    }


def _content(meeting: Meeting) -> str:
    notes = meeting.notes
    if notes is None:
        return ""
    chapters = "".join(f"### {label}\n{text}\n\n" for label, text in notes.details)
    steps = "".join(f"- {step}\n" for step in notes.next_steps)
    return f"## Key takeaways\n{notes.overview}\n\n## Discussed topics\n{chapters}## Action items\n{steps}"


def _user_id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:22]
