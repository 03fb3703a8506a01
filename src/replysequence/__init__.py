"""ReplySequence sends follow-up drafts from the address of the person who wrote them."""

__version__ = "0.1.0"
