"""A worker alone: the program that ``replysequence worker`` becomes, without the web app and the command line."""

import os

from replysequence import logs, process
from replysequence.app import running
from replysequence.settings import Settings, read


async def work(settings: Settings) -> None:
    """Run a worker until the process is told to stop."""
    async with running(settings) as app:
        process.spare_the_collector()
        with process.stopped_by_signals(app.worker.stop):
            await app.worker.run()


def main() -> None:
    """The program: settings come from the environment, and the database has the present schema."""
    settings = process.or_exit(lambda: read(os.environ))
    logs.set_up(settings.log_level)
    process.run(work(settings))


if __name__ == "__main__":
    main()
