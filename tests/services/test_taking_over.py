"""A worker takes over what a dead process left, and leaves alone what a living one has in hand."""

from replysequence.domain.send import State
from support.office import Opening


async def test_what_another_process_has_in_hand_is_its_own_until_it_is_gone(office: Opening) -> None:
    async with office() as it:
        async with office() as other:
            alice = await other.person("Alice")
            await other.connect(alice)
            send = await other.accept(alice)
            (claimed,) = await other.claim()
            assert claimed.id == send.id

            assert await it.dispatching.reap() == {}
            assert (await it.get(send)).state is State.CLAIMED

        assert await it.dispatching.reap() == {State.QUEUED: 1}
        assert await it.work() == 1
        assert (await it.get(send)).state is State.SENT
        assert it.accepted_by_provider(send) == 1
