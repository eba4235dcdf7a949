"""Settings of the API, and the key line it hands to whoever checks the record."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis.api.process import read_vkey
from aegis.api.settings import ApiSettings
from aegis.cli.keyring import Keyring
from aegis.kit.errors import Invalid


def settings(**given: object) -> ApiSettings:
    return ApiSettings.read({}, audit_public_key_file=Path("audit.vkey"), **given)


def test_the_database_comes_from_its_file_where_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://secret@db/aegis\n")
    file.chmod(0o600)
    assert settings(database_url_file=file).database() == "postgresql://secret@db/aegis"
    assert settings(database_url="postgresql://db/aegis").database() == "postgresql://db/aegis"
    with pytest.raises(Invalid, match="no database"):
        settings().database()


def test_redis_and_the_directory_of_policies_are_read_by_their_names(tmp_path: Path) -> None:
    environ = {"REDIS_URL": "redis://cache", "AEGIS_POLICY_DIR": str(tmp_path), "AEGIS_CACHE_KEY_FILE": "key"}
    read = ApiSettings.read(environ, audit_public_key_file=Path("audit.vkey"))
    assert (read.redis_url, read.policy_dir, read.cache_key_file) == ("redis://cache", tmp_path, Path("key"))
    assert settings().redis_url == ""
    assert settings().policy_dir is None


@pytest.mark.parametrize(
    "url",
    [
        *("aegis.example.org", "ftp://aegis.example.org", "https://", "https://a.org/path", "https://a.org?x=1"),
        *("https://a.org#x", "https://ada@a.org", "https://a.org:443", "http://a.org:80", "https://a.org:x"),
    ],
)
def test_a_public_url_is_an_origin_and_nothing_more(url: str) -> None:
    with pytest.raises(Invalid, match="AEGIS_PUBLIC_URL"):
        settings(public_url=url)


def test_a_public_url_is_kept_in_one_spelling() -> None:
    assert settings(public_url="https://Aegis.Example.org/").public_url == "https://aegis.example.org"
    assert settings(public_url="http://[::1]:3000").public_url == "http://[::1]:3000"


def test_proxies_are_addresses_or_networks() -> None:
    assert settings(trusted_proxies="10.0.0.0/8, 192.0.2.7").trusted_proxies
    with pytest.raises(Invalid, match="AEGIS_TRUSTED_PROXIES"):
        settings(trusted_proxies="proxy.example.org")


def test_a_misspelt_setting_refuses_to_start() -> None:
    with pytest.raises(Invalid, match="AEGIS_SANDBOXX"):
        ApiSettings.read({"AEGIS_SANDBOXX": "1"}, audit_public_key_file=Path("audit.vkey"))


def test_the_key_line_that_aegis_keys_writes_is_accepted(tmp_path: Path) -> None:
    ring = Keyring(tmp_path / "keys")
    ring.generate()
    assert read_vkey(ring.audit_public) == ring.audit_verifier().vkey


@pytest.mark.parametrize("content", ["", "hello", "-----BEGIN PRIVATE KEY-----"])
def test_any_other_file_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "audit.vkey"
    file.write_text(content)
    with pytest.raises(Invalid):
        read_vkey(file)
    with pytest.raises(Invalid):
        read_vkey(tmp_path / "missing")
