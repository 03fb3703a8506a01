"""Every environment variable, read once. All that is wrong is reported together, before anything starts."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from replysequence.domain.address import parse_address
from replysequence.domain.errors import InvalidInput
from replysequence.domain.secret import Secret
from replysequence.providers.base import Variable, VariableKind
from replysequence.providers.http import is_this_machine
from replysequence.providers.registry import Registry
from replysequence.storage.database import parse_url
from replysequence.storage.keys import parse_keys

OWN_VARIABLES = (
    Variable(
        "REPLYSEQUENCE_DATA_DIR", "Folder for the embedded database and the key file.", default="./data"
    ),
    Variable(
        "DATABASE_URL",
        "Where everything is kept: sqlite:///path or postgresql://user:password@host/name. "
        "Default: a SQLite file in REPLYSEQUENCE_DATA_DIR.",
        kind=VariableKind.SECRET,
    ),
    Variable(
        "PUBLIC_URL",
        "The address at which browsers reach the app; redirect URIs begin with it.",
        default="http://localhost:8000",
        kind=VariableKind.URL,
    ),
    Variable(
        "ENCRYPTION_KEYS",
        "Keys of the vault as id:base64 of 32 bytes, separated by commas, the first one writes. "
        "Without it a key file is made in the data folder on the very first start.",
        kind=VariableKind.SECRET,
    ),
    Variable(
        "TRUSTED_PROXIES",
        "Addresses or networks of reverse proxies, separated by commas, whose X-Forwarded-For is believed. "
        "Default: none.",
    ),
    Variable("LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR.", default="INFO"),
)
"""The settings that are not a provider's."""

LARGEST_NUMBER = 1_000_000
_LOG_LEVELS = {"DEBUG", "INFO", "WARNING", "ERROR"}


class ConfigError(Exception):
    """The environment cannot be used; ``problems`` holds one sentence for each thing to mend."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(
            "The settings cannot be used:\n" + "\n".join(f"  - {problem}" for problem in problems)
        )
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process. Secrets are not shown in its text form."""

    data_dir: Path
    database_url: str = field(repr=False)
    public_url: str
    encryption_keys: Secret | None
    trusted_proxies: tuple[str, ...]
    log_level: str
    providers: Mapping[str, str] = field(repr=False)
    """Variable name → value, defaults filled in, for the registry."""

    @property
    def key_file(self) -> Path:
        """Where the vault's key lies when ``ENCRYPTION_KEYS`` is not set."""
        return self.data_dir / "encryption.keys"

    @property
    def secure_cookies(self) -> bool:
        """Whether browsers reach us over HTTPS."""
        return self.public_url.startswith("https://")


def all_variables() -> tuple[Variable, ...]:
    """Every variable that the program reads, ours first."""
    return OWN_VARIABLES + Registry.variables()


def read(environ: Mapping[str, str]) -> Settings:
    """Read the settings from ``environ``. Raises :class:`ConfigError` with everything that is wrong."""
    problems: list[str] = []
    values = {variable.name: _value(variable, environ, problems) for variable in all_variables()}
    for variable in all_variables():
        check = _CHECKS.get(variable.kind)
        if check and values[variable.name]:
            problem = check(values[variable.name])
            if problem:
                problems.append(f"{variable.name} {problem}")
    if _has_path(values["PUBLIC_URL"]):
        problems.append("PUBLIC_URL must have no path: the app needs a host name of its own")
    data_dir = Path(values["REPLYSEQUENCE_DATA_DIR"])
    database_url = values["DATABASE_URL"] or f"sqlite:///{(data_dir / 'replysequence.db').absolute()}"
    problems += _refused("DATABASE_URL", parse_url, database_url)
    if values["ENCRYPTION_KEYS"]:
        problems += _refused("ENCRYPTION_KEYS", parse_keys, values["ENCRYPTION_KEYS"])
    if values["LOG_LEVEL"].upper() not in _LOG_LEVELS:
        problems.append(f"LOG_LEVEL must be one of {', '.join(sorted(_LOG_LEVELS))}")
    proxies = [proxy.strip() for proxy in values["TRUSTED_PROXIES"].split(",") if proxy.strip()]
    if not all(map(_is_network, proxies)):
        problems.append(
            "TRUSTED_PROXIES must hold addresses or networks such as 10.0.0.0/8, separated by commas"
        )
    if problems:
        raise ConfigError(problems)
    return Settings(
        data_dir=data_dir,
        database_url=database_url,
        public_url=values["PUBLIC_URL"].rstrip("/"),
        encryption_keys=Secret(values["ENCRYPTION_KEYS"]) if values["ENCRYPTION_KEYS"] else None,
        trusted_proxies=tuple(proxies),
        log_level=values["LOG_LEVEL"].upper(),
        providers={variable.name: values[variable.name] for variable in Registry.variables()},
    )


def _refused(name: str, read_it: Callable[[str], object], value: str) -> list[str]:
    """What is wrong with ``value`` in the words of who will use it. Its text never holds the value."""
    try:
        read_it(value)
    except InvalidInput as error:
        return [f"{name}: {error.message}"]
    return []


def _value(variable: Variable, environ: Mapping[str, str], problems: list[str]) -> str:
    """The variable's value; a secret may also stand in the file that ``NAME_FILE`` names."""
    direct = environ.get(variable.name, "").strip()
    file_name = environ.get(f"{variable.name}_FILE", "").strip()
    if variable.kind is not VariableKind.SECRET or not file_name:
        return direct or variable.default
    if direct:
        problems.append(f"{variable.name} and {variable.name}_FILE are both set; keep one")
        return direct
    try:
        return Path(file_name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{variable.name}_FILE cannot be read: {type(error).__name__}")
        return variable.default


def _check_url(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    del port
    if parts.scheme not in {"http", "https"} or not host:
        return "must be a full URL such as https://mail.example.com"
    if parts.scheme == "http" and not is_this_machine(host):
        return "must begin with https:// (plain http is for this machine only)"
    if parts.username or parts.password or parts.fragment or parts.query:
        return "must be a plain URL, without user, query or fragment"
    return None


def _has_path(url: str) -> bool:
    try:
        return bool(urlsplit(url).path.strip("/"))
    except ValueError:
        return False  # no URL at all: that is reported


def _check_address(value: str) -> str | None:
    try:
        parse_address(value)
    except InvalidInput as error:
        return f"is not an e-mail address: {error.message}"
    return None


def _check_number(value: str) -> str | None:
    is_number = value.isascii() and value.isdigit() and 0 < int(value) <= LARGEST_NUMBER
    return None if is_number else f"must be a whole number from 1 to {LARGEST_NUMBER}"


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


_CHECKS: Mapping[VariableKind, Callable[[str], str | None]] = {
    VariableKind.URL: _check_url,
    VariableKind.ADDRESS: _check_address,
    VariableKind.NUMBER: _check_number,
}
