"""The page of a report: one HTML file without anything from the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from skd_mm.analysis.run_files import find_commit
from skd_mm.utils import atomic_replace
from skd_mm.version import __version__

from . import figures
from .collect import Report
from .costs import find_latencies
from .sections import main_metric, make_sections
from .sources import Sources, find_sources

TEMPLATES = Path(__file__).parent / 'templates'


@dataclass(frozen=True)
class Settings:
    """What a report contains.

    Attributes:
        split: ``'test'`` or ``'val'``: the split on which networks are compared.
        images: Number of images of the split that networks predict at most, evenly spaced; 0 loads no network.
            Defaults to 200.
        gallery: Number of images in the gallery. Defaults to 24.
        compute: Count the training compute; this builds each network once.
        metric: The metric to compare; by default that of the task.
        title: Title of the page.
    """

    split: str = 'test'
    images: int = 200
    gallery: int = 24
    compute: bool = True
    metric: str | None = None
    title: str | None = None


def write_report(paths: Sequence[str], out: str | Path, settings: Settings = Settings()) -> Path:
    """Write a page about runs and studies.

    Args:
        paths: Work directories, see :func:`~skd_mm.analysis.report.sources.find_sources`.
        out: The folder of the page, or the HTML file.
        settings: What it contains.

    Returns:
        The HTML file.

    Raises:
        FileNotFoundError: A work directory does not exist.
        ValueError: A folder has no run.
    """
    sources = find_sources(paths)
    if not sources.runs:
        raise ValueError('there is no run with a config: ' + '; '.join(sources.notes))
    report = collect(sources, settings)
    file = Path(out)
    if file.suffix != '.html':
        file = file / 'index.html'
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f'.{file.name}.tmp')
    temporary.write_text(render_page(report, settings.title or _title(sources)))
    atomic_replace(temporary, file)
    return file


def collect(sources: Sources, settings: Settings) -> Report:
    """Count, predict and read everything that a page shows.

    Args:
        sources: The runs.
        settings: What the page contains.

    Returns:
        The content of the page.
    """
    studies = [study['study']['metric'] for study in sources.studies]
    metric = settings.metric or next(iter(studies), None) or main_metric(sources.runs) or 'loss'
    methods = list(sources.methods())
    teachers = [run.method for run in sources.runs if run.is_teacher]
    report = Report(sources, metric, settings.split, figures.method_colours(methods, teachers), settings.gallery)
    report.latencies = find_latencies(sources.runs, sources.deployments)
    if settings.compute:
        report.count()
    if settings.images:
        report.predict(settings.images)
    return report


def render_page(report: Report, title: str) -> str:
    """Return the HTML of a page.

    Args:
        report: Its content.
        title: Its title.

    Returns:
        The whole file.
    """
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    style, script = (Markup((TEMPLATES / name).read_text()) for name in ('report.css', 'report.js'))
    commit = find_commit()
    return environment.get_template('report.html').render(
        title=title, sections=make_sections(report), style=style, script=script, version=__version__,
        commit=commit and commit[:7] + commit[40:], colours=report.colours, safe=Markup)


def _title(sources: Sources) -> str:
    titles = [study['study']['title'] for study in sources.studies]
    return '; '.join(titles) or ', '.join(sources.methods())
