"""What ReplySequence is compared with. Each file is a program that makes bare calls as the users of a client do.

    python -m benchmarks.peers.NAME URL AUTHORITY_FILE COUNT

It says what it has used after a warm-up, makes COUNT calls when told `go`, and says it again.
"""
