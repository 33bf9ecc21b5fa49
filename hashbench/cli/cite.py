"""The command `hashbench cite`: the sources of plugins and results, as BibTeX or in words."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hashbench.cli import completion
from hashbench.cli.folders import results_of
from hashbench.cli.helped import defaulting
from hashbench.cli.named import refuse_file, write_file
from hashbench.cli.options import PluginFiles, use_files
from hashbench.cli.screen import for_answers, for_notes, say_folded
from hashbench.errors import UsageError
from hashbench.suggestions import did_you_mean

if TYPE_CHECKING:
    from hashbench.plugins.bibliography import Reference
    from hashbench.plugins.kinds import Kind
    from hashbench.results.cell import Cell, CellResult

BIBTEX: Final = "bibtex"
TEXT: Final = "text"
FORMATS: Final = (BIBTEX, TEXT)

Cited = dict[str, tuple["Reference", ...]]
"""References by what they are of, such as `attack/hag`."""


def cite(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            autocompletion=completion.citable,
            help="Plugins, as hag or attack/hag; or keys, as wang2023cgat.",
            show_default=False,
        ),
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Everything that these results use, and hashbench. May be repeated.",
        ),
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            autocompletion=completion.choice(*FORMATS),
            help=defaulting("bibtex, or text: words with links.", "bibtex; text for FILE.txt"),
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to this file: refs.bib."),
    ] = None,
    plugin: PluginFiles = None,
) -> None:
    """Say what to cite: BibTeX of plugins, of all that results use, or of hashbench itself."""
    from hashbench.plugins.bibliography import measure, software

    use_files(plugin)
    form = _format(format, output)
    if output is not None:
        refuse_file(output)
    own: Cited = {"hashbench": (software(),), "ties in every value": (measure(),)}
    found = own if results or not names else {}
    if results:
        found = found | _of_results(results)
    for name in names or ():
        found = found | _named(name)
    _note_the_rest(found)
    text = _bibtex(found) if form == BIBTEX else _words(found)
    if output is not None:
        if not text:
            raise UsageError(f"nothing of it has a source, so {output} is not written")
        write_file(output, text.encode())
    elif form == BIBTEX:
        sys.stdout.write(text)
    else:
        screen = for_answers()
        for line in text.splitlines():
            say_folded(screen, line)


def plugins_of(results: Iterable[CellResult]) -> list[tuple[Kind, str]]:
    """The plugins of some cells, each once: data sets, backbones, losses, defenses, attacks.

    The networks that transferred attacks follow are among them.
    """
    from hashbench.plugins.kinds import Kind

    found: dict[Kind, dict[str, None]] = {kind: {} for kind in _order()}
    for result in results:
        for kind, text in _parts_of(result.cell):
            found[kind].setdefault(bare(text))
        if result.attack is not None and result.attack.transfers:
            asked = result.attack.parameters
            for kind, field in ((Kind.BACKBONE, "backbone"), (Kind.LOSS, "hashing_loss")):
                if isinstance(network := asked.get(field), str) and network:
                    found[kind].setdefault(bare(network))
    return [(kind, name) for kind, names in found.items() for name in names]


def bare(text: str) -> str:
    """A plugin's name of what may be typed: `hag` of `hag:steps=500` and of `hag@published`."""
    return text.partition(":")[0].partition("@")[0]


def _order() -> tuple[Kind, ...]:
    from hashbench.plugins.kinds import Kind

    return (Kind.DATASET, Kind.BACKBONE, Kind.LOSS, Kind.DEFENSE, Kind.ATTACK)


def _parts_of(cell: Cell) -> tuple[tuple[Kind, str], ...]:
    from hashbench.results.cell import CLEAN

    texts = (cell.dataset, cell.backbone, cell.loss, cell.defense, cell.attack)
    found = tuple(zip(_order(), texts, strict=True))
    return found[:-1] if cell.attack == CLEAN else found


def _of_results(folders: Sequence[Path]) -> Cited:
    from hashbench.plugins.bibliography import references

    used = plugins_of(results_of(folders).cells)
    return {f"{kind}/{name}": references(kind, name) for kind, name in used}


def _named(typed: str) -> Cited:
    """The sources of a plugin, of each where several kinds have the name; or the one of a key.

    Raises:
        UsageError: there is no such plugin or key, or it is broken.
    """
    from hashbench.plugins.bibliography import SOFTWARE, by_key, references, software
    from hashbench.plugins.kinds import Kind
    from hashbench.plugins.lookup import kind_of, known_names, registry_with
    from hashbench.runner.suite import shipped

    if typed == SOFTWARE:
        return {typed: (software(),)}
    if typed in by_key():
        return {typed: (by_key()[typed],)}
    of, slash, rest = bare(typed).rpartition("/")
    wanted = (kind_of(of),) if slash else tuple(Kind)
    kinds = [kind for kind in wanted if rest in known_names(kind)]
    if not kinds:
        broken = [one for one in registry_with(rest, *wanted).broken if one.name == rest]
        if broken:
            raise UsageError(f"plugin '{rest}' of {broken[0].origin} is broken: {broken[0].reason}")
        everyone = {name for kind in wanted for name in known_names(kind)}
        if typed in shipped():
            raise UsageError(
                f"'{typed}' is a suite: once it has run, 'hashbench cite --results FOLDER' cites "
                "all that it used"
            )
        if slash:
            raise UsageError(f"there is no {wanted[0]} '{rest}'{did_you_mean(rest, everyone)}")
        near = did_you_mean(rest, {*everyone, *by_key()})
        raise UsageError(f"there is no plugin or key '{rest}'{near}")
    found = {f"{kind}/{rest}": references(kind, rest) for kind in kinds}
    return {of: sources for of, sources in found.items() if sources} or found


def _format(asked: str | None, output: Path | None) -> str:
    if asked is None:
        return TEXT if output is not None and output.suffix == ".txt" else BIBTEX
    if asked not in FORMATS:
        raise UsageError(f"there is no format '{asked}'{did_you_mean(asked, FORMATS)}")
    return asked


def _note_the_rest(found: Cited) -> None:
    """Say what of it has no source: nobody should think that it was forgotten."""
    from hashbench.plugins.kinds import Kind
    from hashbench.plugins.lookup import known_names

    notes = for_notes()
    without = [of for of, sources in found.items() if not sources]
    unknown = []
    for of in without:
        kind, _, name = of.partition("/")
        if name not in known_names(Kind(kind)):
            unknown.append(of)
    if known := [of for of in without if of not in unknown]:
        notes.say(f"Built on no other work, as their cards say: {', '.join(known)}")
    if unknown:
        notes.say(
            f"Not known here: {', '.join(unknown)}. Of a plugin of yours, name its file with "
            "--plugin or install its package",
            style="yellow",
        )


def _uses(found: Cited) -> list[tuple[Reference, list[str]]]:
    """Each reference once, with what it is the source of."""
    from hashbench.plugins.bibliography import bibliography

    together = bibliography(found.values())
    return [
        (
            reference,
            [
                of
                for of, sources in found.items()
                if any(one.words == reference.words for one in sources)
            ],
        )
        for reference in together
    ]


def _bibtex(found: Cited) -> str:
    # BibTeX passes over what stands between entries, as long as there is no @ in it.
    return "\n".join(
        f"% {', '.join(of).replace('@', ' ')}\n{reference.bibtex}" for reference, of in _uses(found)
    )


def _words(found: Cited) -> str:
    lines = []
    for reference, of in _uses(found):
        link = f" {reference.url}" if reference.url and reference.url not in reference.words else ""
        lines.append(f"{', '.join(of)}: {reference.words}{link}\n")
    return "".join(lines)
