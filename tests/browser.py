"""Chromium of this machine, headless, for the tests of pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--mute-audio")


def absent(reason: str) -> None:
    """Skip, or fail where a browser is required."""
    if os.environ.get("SGMSE_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def browser_with(*options: str) -> Iterator[Any]:
    """The browser, which reaches no network of its own accord, with further options."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        absent("no Chromium on this machine (Debian: apt install chromium)")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("the package playwright, which drives the browser, is not installed")
    with sync_playwright() as driver:
        given = [*OPTIONS, *options]
        browser = driver.chromium.launch(executable_path=path, args=given, timeout=120_000)
        yield browser
        browser.close()
