"""Settings under which no pace holds anything up: for tests of anything else."""

UNPACED = {
    "GMAIL_SENDS_PER_MINUTE": "1000000",
    "GMAIL_MAILBOX_SENDS_PER_MINUTE": "1000000",
    "OUTLOOK_MAILBOX_SENDS_PER_MINUTE": "1000000",
}
