"""What every test may lean on: databases, a browser, coroutines, and no network but loopback."""
