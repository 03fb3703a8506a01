"""Zoom's granular scopes for one user, and what the consent page says about them (Zoom's "Granular scopes", checked
2026-11-22).
"""

from typing import Final

USER: Final = "user:read:user"
LIST_MEETINGS: Final = "meeting:read:list_meetings"
PAST_MEETING: Final = "meeting:read:past_meeting"
PAST_INSTANCES: Final = "meeting:read:list_past_instances"
PAST_PARTICIPANTS: Final = "meeting:read:list_past_participants"
SUMMARY: Final = "meeting:read:summary"
USER_RECORDINGS: Final = "cloud_recording:read:list_user_recordings"
RECORDING_FILES: Final = "cloud_recording:read:list_recording_files"
TRANSCRIPT: Final = "cloud_recording:read:meeting_transcript"

WORDS: Final[dict[str, str]] = {
    USER: "View your profile",
    LIST_MEETINGS: "View your meetings",
    PAST_MEETING: "View a past meeting's details",
    PAST_INSTANCES: "View the occurrences of your past meetings",
    PAST_PARTICIPANTS: "View who took part in your past meetings",
    SUMMARY: "View a meeting's summary",
    USER_RECORDINGS: "View the list of your cloud recordings",
    RECORDING_FILES: "View the files of a cloud recording",
    TRANSCRIPT: "View a meeting's transcript",
}

ZOOM_SCOPES: Final = tuple(WORDS)
"""What the settings of the seeded app ask for: everything that the sandbox can show."""
