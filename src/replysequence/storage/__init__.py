"""What we keep. Plain functions over a SQLAlchemy Core connection; knows no network."""
