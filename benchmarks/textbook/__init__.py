"""The same job as textbooks and tutorials build it: FastAPI, SQLAlchemy's async ORM, EmailMessage, httpx.

It is what the accepting benchmark compares with: written with care, with none of its libraries misused, and
without anything that the job does not ask for.
"""
