"""The fleet itself: its programs live, die at our word only, and come back at the same place."""

from pathlib import Path

from crash.fleet import fleet


def test_a_killed_program_comes_back_at_the_same_address(tmp_path: Path) -> None:
    with fleet(f"sqlite:///{tmp_path}/app.db", tmp_path / "fleet", web=1, workers=1) as ships:
        web, worker = ships.programs["web-1"], ships.programs["worker-1"]
        first = web.pid

        web.kill()
        assert not web.alive
        assert web.exit_code == -9
        assert worker.alive
        web.start()

        assert web.pid != first
        assert ships.request("GET", "/api/drafts", key="rs_nobody").status == 401
        assert worker.stop() == 0
        assert ships.providers.ledger() == []
    assert not web.alive
