# SPDX-License-Identifier: Apache-2.0
"""Fetches the tarball of an npm package where there is no npm: python fetch_npm_package.py NAME VERSION FILE.

From the registry that npm would ask (environment variable npm_config_registry), over the proxy and with the certificates of
the environment. What came is checked by whoever called.
"""

import os
import sys
import urllib.request
from pathlib import Path

_REGISTRY = "https://registry.npmjs.org"
_TIMEOUT_S = 30.0


def registry() -> str:
    """npm takes the name of the variable in any case."""
    told = {name.lower(): value for name, value in os.environ.items()}
    return (told.get("npm_config_registry") or _REGISTRY).rstrip("/")


def main() -> int:
    name, version, file = sys.argv[1:]
    url = f"{registry()}/{name}/-/{name}-{version}.tgz"
    if not url.startswith(("https://", "http://")):
        print(f"the registry of npm_config_registry is no address of the web: {url}", file=sys.stderr)
        return 1
    print(f"fetching {url}")
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
        Path(file).write_bytes(answer.read())
    return 0


if __name__ == "__main__":
    sys.exit(main())
