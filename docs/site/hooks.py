"""What makes a site of pages that GitHub shows as they are: pages from elsewhere, and their links.

The pages in `docs/` link to files of the repository (`../SECURITY.md`), and the README to them. On
the site the pages at the root are pages too, other files that are linked are copied, and all links
are written anew. The reference has a page for each public module, made of its docstrings.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY: Final = Path(__file__).resolve().parents[2]

DOCS: Final = "docs"

ELSEWHERE: Final = {
    "README.md": "index.md",
    "docs/README.md": "contents.md",
    "CHANGELOG.md": "changelog.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/published/README.md": "published-files.md",
}
"""Pages that the site has under another name, or from outside of `docs/`."""

COPIES: Final = "files"
"""Where files lie that pages link to and that are no pages."""

_SOURCES: Final = {page: source for source, page in ELSEWHERE.items()}
# What stands in code is no link: a fenced block, a span of code; else a target in Markdown or HTML.
_LINK: Final = re.compile(
    r"(?P<code>^```.*?^```$|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))"
    r"|(?P<before>\]\(|\b(?:src|href|srcset)=\")(?P<target>[^)\s\"]+)",
    re.MULTILINE | re.DOTALL,
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from elsewhere, the reference, and copies of what is linked."""
    contents = files.get_file_from_path("README.md")
    if contents is not None:
        files.remove(contents)
    for source, page in ELSEWHERE.items():
        files.append(File.generated(config, page, content=_text(source)))
    for face in faces():
        text = reference(face)
        files.append(File.generated(config, f"reference/{face}.md", content=text))
    for path in sorted(copied(files)):
        content = (REPOSITORY / path).read_bytes()
        files.append(File.generated(config, f"{COPIES}/{path}", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write the links of a page as the site has them."""
    del config, files
    return relinked(markdown, page.file.src_uri)


def on_post_template(output: str, *, template_name: str, config: MkDocsConfig) -> str:
    """Leave out the page of what is not found: its links hold at the root of a server alone."""
    del config
    return "" if template_name == "404.html" else output


def faces() -> list[str]:
    """The public modules, as the table of stability.md lists them."""
    section = _text("docs/stability.md").partition("\n## Names\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([\w.]+)` \|", section, re.MULTILINE)


def reference(face: str) -> str:
    """The page of a public module: what its docstring says, then every public name."""
    room = REPOSITORY.joinpath(*face.split("."))
    names = [name for name in _public(room / "__init__.py") if f"{face}.{name}" not in faces()]
    # A function of its module's name: read without being run, `face.name` is the module.
    hidden = [name for name in names if (room / f"{name}.py").exists()]
    listed = "".join(f"        - {name}\n" for name in names if name not in hidden)
    return (
        f"# {face}\n\n::: {face}\n    options:\n      show_root_heading: false\n"
        f"      show_root_toc_entry: false\n      members:\n{listed}"
    ) + "".join(f'\n<a id="{face}.{name}"></a>\n\n::: {face}.{name}.{name}\n' for name in hidden)


def copied(files: Files) -> set[str]:
    """Files of the repository that pages link to, and that are no part of the site otherwise."""
    found: set[str] = set()
    for file in files.documentation_pages():
        source = source_of(file.src_uri)
        for target in _targets(file.content_string):
            path = _resolved(source, target)
            if path and not path.startswith(f"{DOCS}/") and path not in ELSEWHERE:
                found.add(path)
    return found


def relinked(markdown: str, page: str) -> str:
    """A page's text with links that lead to the same things on the site.

    Args:
        markdown: the text.
        page: its path on the site, `index.md`.
    """
    source = source_of(page)

    def anew(link: re.Match[str]) -> str:
        if link["code"]:
            return link[0]
        target, hash_, anchor = link["target"].partition("#")
        path = _resolved(source, target)
        if not path:
            return link[0]
        there = posixpath.relpath(site_path(path), posixpath.dirname(page) or ".")
        return f"{link['before']}{there}{hash_}{anchor}"

    return _LINK.sub(anew, markdown)


def site_path(path: str) -> str:
    """Where the site has a file of the repository."""
    if path in ELSEWHERE:
        return ELSEWHERE[path]
    if path.startswith(f"{DOCS}/"):
        return path.removeprefix(f"{DOCS}/")
    return f"{COPIES}/{path}"


def source_of(page: str) -> str:
    """The file of the repository that a page of the site is made from."""
    return _SOURCES.get(page, f"{DOCS}/{page}")


def _targets(markdown: str) -> Iterator[str]:
    for link in _LINK.finditer(markdown):
        if not link["code"]:
            yield link["target"].partition("#")[0]


def _resolved(source: str, target: str) -> str:
    """The file of the repository that a link names; empty where it is none, or leads elsewhere."""
    if not target or re.match(r"[a-z]+:|/", target):
        return ""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    return path if not path.startswith("..") and (REPOSITORY / path).is_file() else ""


def _public(module: Path) -> list[str]:
    """The names in a module's `__all__`, read without running it."""
    for line in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(line, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in line.targets
        ):
            return list(ast.literal_eval(line.value))
    return []


def _text(path: str) -> str:
    return (REPOSITORY / path).read_text(encoding="utf-8")
