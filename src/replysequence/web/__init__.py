"""HTTP in, HTTP out: the JSON API and the pages. The only user of FastAPI, Pydantic and Jinja2."""
