"""Where the sources lie: below `src/`, or in the folders that its links name.

Git keeps these links: `src/hashbench`, and in `hashbench/` the rooms `attacks`, `defenses`,
`benchmarks` and `reports`. So an editable install is one path, `src/`, which editors and type
checkers follow, and on which nothing is named `attacks`. Where an archive was unpacked without
links (pip does so with a .zip), the same wheel is built from the folders themselves.
"""

from pathlib import Path

from setuptools import setup

ROOMS = ("attacks", "defenses", "benchmarks", "reports")

HERE = Path(__file__).parent
LINKED = all((HERE / "src/hashbench" / room / "__init__.py").is_file() for room in ROOMS)
FOLDERS = {"hashbench": "hashbench"} | {f"hashbench.{room}": room for room in ROOMS}

setup(package_dir={"": "src"} if LINKED else FOLDERS)
