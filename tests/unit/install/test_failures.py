from __future__ import annotations

import pytest

from install.failures import cause_in, explanation

# What pip 23.2 and 25 said, shortened; a missing network ends with the same words as a missing version.
UNREACHABLE = """\
WARNING: Retrying (Retry(total=1, ...)) after connection broken by 'NewConnectionError('<pip._vendor.urllib3\
.connection.HTTPConnection object at 0x7f>: Failed to establish a new connection: [Errno 111] Connection \
refused')'
ERROR: Could not find a version that satisfies the requirement one==1.0 (from versions: none)
ERROR: No matching distribution found for one==1.0
"""
INSPECTED = """\
WARNING: Retrying (Retry(total=0, ...)) after connection broken by 'SSLError(SSLCertVerificationError(1, \
'[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate in certificate chain \
(_ssl.c:1006)'))'
ERROR: No matching distribution found for one==1.0
"""
PROXY = """\
WARNING: Retrying (Retry(total=0, ...)) after connection broken by 'ProxyError('Cannot connect to proxy.', \
OSError('Tunnel connection failed: 407 Proxy Authentication Required'))': /simple/one/
ERROR: No matching distribution found for one==1.0
"""
ABSENT = """\
ERROR: Could not find a version that satisfies the requirement one==1.0 (from versions: 0.9)
ERROR: No matching distribution found for one==1.0
"""
SILENT = """\
ERROR: Could not find a version that satisfies the requirement one==1.0 (from versions: none)
ERROR: No matching distribution found for one==1.0
"""
CHANGED = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."
FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"


@pytest.mark.parametrize(
    ("log", "names"),
    [
        (UNREACHABLE, "HTTPS_PROXY"),
        (INSPECTED, "REQUESTS_CA_BUNDLE"),
        (PROXY, "the proxy named by HTTPS_PROXY"),
        (ABSENT, "lacks a locked version"),
        (SILENT, "could not be reached, or has nothing"),
        (CHANGED, "other bytes than those locked"),
        (FULL, "free some space"),
    ],
)
def test_each_known_failure_is_told_by_its_cause(log: str, names: str) -> None:
    assert names in (cause_in(log) or "")


def test_an_unknown_failure_keeps_the_last_words_of_pip() -> None:
    assert cause_in("ERROR: something new") is None
    assert explanation("noise\n\nERROR: something new\n[notice] a new pip").endswith(
        "noise\n  ERROR: something new"
    )
