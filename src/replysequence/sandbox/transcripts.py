"""A transcript as a file: WebVTT, each line with its speaker."""

from replysequence.sandbox.meetings import Meeting


def vtt(meeting: Meeting, *, voices: bool) -> str:
    """The lines of `meeting`. With `voices` the speaker is a tag, as at Teams; else a name and a colon, as at Zoom."""
    cues = ["WEBVTT"]
    ends = [line.seconds for line in meeting.lines[1:]] + [line.seconds + 5 for line in meeting.lines[-1:]]
    for number, (line, end) in enumerate(zip(meeting.lines, ends, strict=True), start=1):
        span = f"{_clock(line.seconds)} --> {_clock(end)}"
        if voices:
            cues.append(f"{span}\n<v {line.speaker}>{line.text}</v>")
        else:
            cues.append(f"{number}\n{span}\n{line.speaker}: {line.text}")
    return "\n\n".join(cues) + "\n"


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.000"
