# SPDX-License-Identifier: Apache-2.0
"""The page's certificate: private, kept, and every fault named."""

import os
import stat
from datetime import timedelta

import pytest

from gr00t_policy.core.errors import ConfigError
from gr00t_teleop.devices.certificate import certificate_in, server_context, utc_now


def test_it_is_made_once_with_private_permissions_and_kept(tmp_path):
    folder = tmp_path / "deep" / "webxr"
    made = certificate_in(folder, utc_now())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(made.key.stat().st_mode) == 0o600
    assert certificate_in(folder, utc_now()) == made
    assert len(made.fingerprint) == 95
    server_context(made)


@pytest.mark.parametrize("missing", ["key.pem", "certificate.pem"])
def test_one_missing_file_is_named_and_the_other_is_not_overwritten(tmp_path, missing):
    made = certificate_in(tmp_path, utc_now())
    (tmp_path / missing).unlink()
    with pytest.raises(ConfigError, match=f"{missing} is missing beside"):
        certificate_in(tmp_path, utc_now())
    assert made.key.exists() != made.certificate.exists()


def test_a_key_that_others_may_read_is_refused(tmp_path):
    made = certificate_in(tmp_path, utc_now())
    made.key.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        certificate_in(tmp_path, utc_now())


def test_one_that_ran_out_is_refused_with_its_date(tmp_path):
    certificate_in(tmp_path, utc_now())
    with pytest.raises(ConfigError, match="ran out on 2"):
        certificate_in(tmp_path, utc_now() + timedelta(days=398))


def test_damaged_and_foreign_files_are_refused(tmp_path):
    one, other = certificate_in(tmp_path / "a", utc_now()), certificate_in(tmp_path / "b", utc_now())
    one.key.write_bytes(other.key.read_bytes())
    with pytest.raises(ConfigError, match="do not belong together"):
        server_context(one)
    one.certificate.write_text("nothing")
    with pytest.raises(ConfigError, match="is no certificate"):
        certificate_in(tmp_path / "a", utc_now())


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigError, match="certificate in .*file"):
        certificate_in(file / "webxr", utc_now())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_key_is_refused(tmp_path):
    certificate_in(tmp_path, utc_now()).key.chmod(0o000)
    with pytest.raises(ConfigError, match="readable"):
        certificate_in(tmp_path, utc_now())
