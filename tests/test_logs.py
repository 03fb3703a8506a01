"""Log lines, in a process of their own: setting them up is for the whole process."""

import subprocess
import sys

PROGRAM = """
import os, sys
from replysequence import logs
logs.set_up("INFO")
log = logs.logger("test")
log.info("before")
keep = os.dup(2)
reading, writing = os.pipe()
os.close(reading)
os.dup2(writing, 2)  # nobody reads any more: each write fails
log.error("lost")
os.dup2(keep, 2)
log.info("after")
"""


def test_a_line_that_cannot_be_written_breaks_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"before"' in done.stderr
    assert '"after"' in done.stderr
