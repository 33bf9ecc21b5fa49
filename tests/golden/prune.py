"""Leave of a folder of results what a report reads: prune.py RESULTS."""

import json
import shutil
import sys
from pathlib import Path

results = Path(sys.argv[1])
for kind in ("model", "codes", "probe", "attacker"):
    shutil.rmtree(results / "artifacts" / kind, ignore_errors=True)
for folder in (results / "artifacts" / "scores").glob("*hag*"):
    shutil.rmtree(folder)  # a cell that was not run to the end
for folder in (results / "artifacts" / "adversarial").iterdir():
    if not folder.name.startswith("pgd"):  # they tell the seconds of an attack, and no more
        shutil.rmtree(folder)
for path in (results / "failures").glob("*.json"):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"traceback": ""}, indent=2) + "\n")
(results / ".lock").unlink(missing_ok=True)
