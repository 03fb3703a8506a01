"""What holds for every test: no network but loopback, coroutines run, examples repeat."""

from hypothesis import settings

pytest_plugins = ["pytester", "support.browser", "support.coroutines", "support.databases", "support.network"]

# No deadline: a test is never a stopwatch. The same examples every time, so that a failure is everybody's;
# `pytest --hypothesis-profile=explore` looks for new ones.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=2_000)
settings.load_profile("steady")
