"""What a large page costs: to write, to keep, and until a browser has made it ready.

    python benchmarks/speed/page.py [--cells 5000]

Writes the format `html` of hand-made results (a clean cell and four attacked ones a model, five
models in a table; see `tests/support/board_pages.py`), and opens it in headless Chromium three
times. Needs `chromium` and `chromedriver`.

Prints seconds to write it, its size in MB (10^6 bytes), and milliseconds from the start of loading
until the page's script has set its mark `hashbench-interactive`, and until everything is loaded.
Bars at 5,000 cells: 15 MB and 2,000 ms; 10,000 cells are written in 15 s.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from hashbench import plugins

TESTS = Path(__file__).resolve().parents[2] / "tests"


FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TIMES = """
const [timing] = performance.getEntriesByType('navigation');
return [performance.getEntriesByName('hashbench-interactive')[0].startTime, timing.loadEventEnd];
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=5000)
    cells = parser.parse_args().cells
    sys.path.insert(0, str(TESTS))
    results = import_module("support.board_pages").many_cells(cells)
    form = plugins.get("format", "html")
    assert isinstance(form, plugins.Format)
    start = time.perf_counter()
    page = form.render(results).encode()
    print(
        f"{cells:,} cells: written in {time.perf_counter() - start:.1f} s, {len(page) / 1e6:.1f} MB"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "board.html"
        path.write_bytes(page)
        for ready, loaded in opened(path, Path(folder) / "user"):
            print(f"interactive after {ready:.0f} ms, loaded after {loaded:.0f} ms")


def opened(path: Path, user: Path, times: int = 3) -> list[tuple[float, float]]:
    """Milliseconds until a page is interactive, and until it is loaded."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in (*FLAGS, f"--user-data-dir={user}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        found = []
        for _ in range(times):
            driver.get("about:blank")
            driver.get(path.as_uri())
            ready, loaded = driver.execute_script(TIMES)
            found.append((float(ready), float(loaded)))
        return found
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
