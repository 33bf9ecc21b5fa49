"""A browser without a window, and pages for it. What is missing skips the tests, but not in CI."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from support.board_pages import full_board, many_cells, written

AXE = Path(__file__).parent / "node_modules/axe-core/axe.min.js"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
)


def lacking(what: str) -> NoReturn:
    """Skip, and say what is missing; where everything should be installed, fail."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}; .ci/run installs it")
    pytest.skip(what)


class Browser:
    """Chromium, driven: pages are loaded from files, in a size and a scheme of colours."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def load(self, page: Path, width: int = 1280, scheme: str = "light", view: str = "") -> None:
        """Load a page anew, and forget what the browser said before."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(f"{page.as_uri()}{view}")

    def run(self, script: str, *given: Any) -> Any:
        """Run a script in the page, and give what it returns."""
        return self.driver.execute_script(script, *given)

    def said(self) -> list[str]:
        """What the page wrote to the console since it was loaded."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]

    def asked_for(self) -> list[str]:
        """The addresses that were asked for since the page was loaded."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                params = message["params"]
                found.append(str(params.get("request", params).get("url")))
        return found


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium with a new folder of its own."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    service = shutil.which("chromedriver")
    if chromium is None or service is None:
        lacking("chromium and chromedriver are not installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(service))
    driver.set_page_load_timeout(300)
    driver.set_script_timeout(300)
    yield Browser(driver)
    driver.quit()


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core."""
    if not AXE.is_file():
        lacking("axe-core is not installed: run 'npm ci' in tests/browser")
    return AXE.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with one of everything."""
    return written(full_board(), tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 5,000 cells."""
    return written(many_cells(5000), tmp_path_factory.mktemp("large"))
