"""The files that hosts and tools read: what they must hold, and that what they name is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from hashbench.plugins.bibliography import by_key, measure, software
from hashbench.plugins.bibtex import read_entries
from support.package import REPOSITORY

PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
FORMS = sorted(
    path for path in (REPOSITORY / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"
)
URLS = {"Homepage", "Documentation", "Repository", "Issues", "Changelog"}


def read(path: str | Path) -> Any:
    """A file of YAML; `on` is a word, as GitHub reads it, though YAML 1.1 takes it for a truth."""
    found = yaml.safe_load((REPOSITORY / path).read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in found.items()}


def test_the_citation_file_is_whole_and_of_this_version() -> None:
    cff = read("CITATION.cff")
    required = {"cff-version", "message", "title", "authors"}
    allowed = {
        "abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords",
        "license", "license-url", "preferred-citation", "references", "repository",
        "repository-artifact", "repository-code", "type", "url", "version",
    }  # fmt: skip
    assert required <= cff.keys() <= required | allowed
    assert cff["cff-version"] == "1.2.0"
    assert cff["type"] in ("software", "dataset")
    assert str(cff["version"]) == PROJECT["version"]
    assert [author["name"] for author in cff["authors"]] == [
        one["name"] for one in PROJECT["authors"]
    ]
    assert cff["license"] in PROJECT["license"].split(" AND ")
    assert set(cff["keywords"]) == set(PROJECT["keywords"])
    # What the command says, in the same words.
    assert cff["title"] in software().words
    (entry,) = read_entries(measure().bibtex)
    (cited,) = cff["references"]
    assert {"type", "title", "authors"} <= cited.keys()
    assert cited["title"] == entry.plain("title")
    assert (str(cited["year"]), cited["doi"]) == (entry.plain("year"), entry.plain("doi"))
    names = [f"{one['given-names']} {one['family-names']}" for one in cited["authors"]]
    assert " and ".join(names) == entry.plain("author")
    assert by_key()["hashbench"].key == PROJECT["name"]


def test_the_address_is_said_everywhere_or_nowhere() -> None:
    known = "urls" in PROJECT
    assert ("HOST/OWNER" in (REPOSITORY / "README.md").read_text()) == (not known)
    assert ("repository-code" in read("CITATION.cff")) == known
    if known:
        urls = PROJECT["urls"]
        assert urls.keys() >= URLS
        assert all(url.startswith("https://") for url in urls.values())
        assert read("CITATION.cff")["repository-code"] == urls["Repository"]
    else:
        told = (REPOSITORY / "CONTRIBUTING.md").read_text().partition("no public address yet")[2]
        assert all(label in told for label in URLS)


def test_the_metadata_say_who_for_whom_and_on_what() -> None:
    classifiers = PROJECT["classifiers"]
    assert len(classifiers) == len(set(classifiers))
    # An expression of licences forbids classifiers of them (PEP 639): setuptools refuses both.
    assert PROJECT["license"]
    assert not any(one.startswith("License ::") for one in classifiers)
    versions = [one.rpartition(" ")[2] for one in classifiers if re.search(r":: 3\.\d+$", one)]
    assert f">={versions[0]}" == PROJECT["requires-python"]
    assert [int(one.split(".")[1]) for one in versions] == list(range(11, 11 + len(versions)))
    jobs = read(".github/workflows/ci.yml")["jobs"]
    tried = [step["with"]["python-version"] for step in jobs["all"]["steps"] if "with" in step]
    assert [*tried, *jobs["pythons"]["strategy"]["matrix"]["python"]] == versions
    for start in ("Operating System :: POSIX", "Operating System :: MacOS", "Topic ::"):
        assert any(one.startswith(start) for one in classifiers)
    assert PROJECT["maintainers"]


def test_the_workflow_runs_what_a_commit_on_main_passes() -> None:
    flow = read(".github/workflows/ci.yml")
    assert {"name", "on", "jobs", "permissions"} <= flow.keys()
    assert set(flow["on"]) == {"push", "pull_request"}
    assert flow["permissions"] == {"contents": "read"}
    for job in flow["jobs"].values():
        assert job["runs-on"] == "ubuntu-latest"
        assert 0 < job["timeout-minutes"] <= 360
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))
        assert job["steps"][0]["uses"].startswith("actions/checkout@")
    (run,) = [step["run"] for step in flow["jobs"]["all"]["steps"] if "run" in step]
    assert run == ".ci/run"
    assert (REPOSITORY / run).stat().st_mode & 0o111
    (other,) = [step["run"] for step in flow["jobs"]["pythons"]["steps"] if "run" in step]
    assert other.removeprefix("make ") in targets()


def targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


def test_there_are_forms_for_what_people_bring() -> None:
    assert [path.stem for path in FORMS] == ["bug", "new-attack", "new-model", "wrong-number"]
    config = read(".github/ISSUE_TEMPLATE/config.yml")
    assert config.keys() <= {"blank_issues_enabled", "contact_links"}
    assert isinstance(config["blank_issues_enabled"], bool)


ATTRIBUTES = {
    "markdown": ({"value"}, set()),
    "textarea": ({"label"}, {"description", "placeholder", "value", "render"}),
    "input": ({"label"}, {"description", "placeholder", "value"}),
    "dropdown": ({"label", "options"}, {"description", "multiple", "default"}),
    "checkboxes": ({"label", "options"}, {"description"}),
}
"""Of each kind of element, the attributes that GitHub asks for, and those that it knows."""


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_is_one_that_github_takes(path: Path) -> None:
    form = read(path)
    assert {"name", "description", "body"} <= form.keys()
    assert form.keys() <= {
        "name",
        "description",
        "body",
        "title",
        "labels",
        "assignees",
        "projects",
    }
    assert all(isinstance(form[key], str) and form[key] for key in ("name", "description"))
    asked = [element for element in form["body"] if element["type"] != "markdown"]
    assert any(element.get("validations", {}).get("required") is True for element in asked)
    for element in form["body"]:
        needed, known = ATTRIBUTES[element["type"]]
        assert needed <= element["attributes"].keys() <= needed | known
        assert element.keys() <= {"type", "id", "attributes", "validations"}
        assert all(
            isinstance(said, str) and said
            for said in element["attributes"].get("options", ["text"])
        )
    ids = [element["id"] for element in asked]
    labels = [element["attributes"]["label"] for element in asked]
    assert len(ids) == len(set(ids))
    assert len(labels) == len(set(labels))


TEMPLATES = [*FORMS, REPOSITORY / ".github/PULL_REQUEST_TEMPLATE.md"]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_what_a_template_names_is_there(path: Path) -> None:
    text = path.read_text()
    named = re.findall(r"`([\w./-]+\.(?:md|toml)|[\w.-]*/[\w./-]+)`", text)
    assert named
    assert [name for name in named if not (REPOSITORY / name).exists()] == []
    from hashbench.cli.app import app

    commands = {
        info.name or getattr(info.callback, "__name__", "") for info in app.registered_commands
    }
    groups = {info.name for info in app.registered_groups}
    said = re.findall(r"(?:`|label: )hashbench ([a-z]+)", text)
    assert {word for word in said if word not in commands | groups} == set()


def test_updates_are_looked_for_where_there_is_something() -> None:
    bot = read(".github/dependabot.yml")
    assert bot["version"] == 2
    files = {
        "pip": "pyproject.toml",
        "github-actions": ".github/workflows/ci.yml",
        "docker": "Dockerfile",
    }
    for update in bot["updates"]:
        assert update.keys() >= {"package-ecosystem", "directory", "schedule"}
        assert update["schedule"]["interval"] in ("daily", "weekly", "monthly")
        assert (REPOSITORY / files.pop(update["package-ecosystem"])).is_file()
        assert update["directory"] == "/"
    assert not files


def test_hooks_run_the_tools_of_the_environment() -> None:
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert hook.keys() >= {"id", "name", "entry", "language"}
        assert hook["language"] == "system"
        assert hook["pass_filenames"] is False
        assert hook["entry"].removeprefix("make ") in targets()
    made = {hook["entry"] for hook in repository["hooks"]}
    assert made == {"make lint", "make types"}
