"""The sections of a report."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skd_mm.analysis.curves import plot_curves
from skd_mm.analysis.studies.tables import render
from skd_mm.tasks import default_metric

from . import figures
from .blocks import Gallery, Markdown, Picture, Section, Table
from .classification import Classifications
from .collect import Report
from .detection import MIN_IOU, MIN_SCORE, Detections
from .differences import config_differences
from .segmentation import Segmentations
from .sources import ReportRun

TERA, GIGA, MILLION = 1e12, 1e9, 1e6
_BOXES = (f'Boxes with scores of at least {MIN_SCORE}; a box is right if an object of its class has an IoU of at least '
          f'{MIN_IOU} with it.')


def make_sections(report: Report) -> list[Section]:
    """Return the sections of a page that have content.

    Args:
        report: Everything that is known of the runs.

    Returns:
        The sections in their order.
    """
    makers: tuple[Callable[[Report], Section], ...] = (
        results, trade_off, curves, classes, confusions, gallery, phases, spots, configs, notes)
    return [section for make in makers if (section := make(report)).blocks]


def results(report: Report) -> Section:
    """Return the tables of studies, and one row per run."""
    section = Section('Results', 'results')
    for study in report.sources.studies:
        title = study['study']['title']
        section.blocks.append(Markdown(f'### {title}\n\n{render(study, ["summary", "notes"])}'))
    metric = report.metric
    measured = report.measured()
    columns = ['run', 'seed', f'validation {metric}, best', f'{report.split} {metric}', 'parameters', 'GMACs',
               'training TFLOPs', 'minutes']
    rows = []
    for run in report.sources.runs:
        cost = report.costs.get(run.method)
        rows.append([
            f'{run.method} (teacher)' if run.is_teacher and run.method != 'teacher' else run.method,
            '' if run.seed is None else str(run.seed), _number(best_validation(run, metric)),
            _number(run.metrics.get(metric, measured.get(id(run)))),
            f'{cost.parameters:,}' if cost else '', f'{cost.macs / GIGA:.4g}' if cost else '',
            f'{cost.flops / TERA:,.4g}' if cost and cost.phases else '', _minutes(run)])
    note = (f'The {report.split} column has the best checkpoint, as a study measured it, or else as measured for this '
            f'page on {report.tested_images} images. GMACs are those of one image; training TFLOPs are counted without '
            'a feature cache and without validation; minutes are those of the training iterations alone.')
    section.blocks.append(_without_empty(Table(columns, rows, note, dots=True)))
    return section


def trade_off(report: Report) -> Section:
    """Return results against training compute, MACs and latency."""
    section = Section('Accuracy against cost', 'trade-off')
    measured = report.measured()
    panels: dict[str, list[figures.Point]] = {'training compute, TFLOPs': [], 'GMACs per image': [],
                                              'latency, ms per image': []}
    for run in report.sources.runs:
        value = run.metrics.get(report.metric, measured.get(id(run)))
        cost = report.costs.get(run.method)
        if value is None or not np.isfinite(value):
            continue
        costs = [cost.flops / TERA if cost and cost.phases else None, cost.macs / GIGA if cost else None,
                 report.latencies.get(run.method)]
        for points, x in zip(panels.values(), costs, strict=True):
            if x is not None:
                points.append(figures.Point(run.method, x, value))
    panels = {label: points for label, points in panels.items() if len({point.method for point in points}) > 1}
    if panels:
        svg = figures.scatter(panels, f'{report.split} {report.metric}', report.colours)
        caption = 'Large dots are means over the seeds, small ones single runs.'
        section.blocks.append(Picture(svg, caption))
    return section


def curves(report: Report) -> Section:
    """Return the curves of all methods, with their phases."""
    section = Section('Curves', 'curves')
    runs = [run for run in report.representatives if run.log is not None]
    logs = [run.log for run in runs if run.log is not None]
    logged = {key for log in logs for key in log.logged()}
    keys = [key for key in (report.metric, 'loss') if key in logged]
    students = [(run, log) for run, log in zip(runs, logs, strict=True) if not run.is_teacher]
    if keys and students:
        with figures.settings([report.colours[run.method] for run, _ in students]):
            figure = plot_curves([log for _, log in students], keys, style='fast')  # which keeps these settings
        section.blocks.append(Picture(figures.to_svg(figure), 'One run per method. The strip above the panels names '
                                      'the phases; dots are validations.'))
    return section


def classes(report: Report) -> Section:
    """Return values of each class, students next to teacher and baseline."""
    section = Section('Classes', 'classes')
    view = report.view
    measured = f'Measured for this page on {report.tested_images} images of the {report.split} split.'
    if isinstance(view, Segmentations):
        panels: dict[str, Any] = {
            'IoU, %': {name: scores.iou for name, scores in view.scores.items()},
            'boundary IoU, %': {name: scores.boundary for name, scores in view.scores.items()}}
        rows = [[name, f'{means["mIoU"]:.2f}', f'{means["boundary"]:.2f}'] for name, means in view.means().items()]
        table = Table(['run', 'mIoU', 'mean boundary IoU'], rows, measured, dots=True)
        caption = 'IoU and boundary IoU (Cheng et al., 2021, with a width of 2 % of the diagonal) of each class.'
    elif isinstance(view, Classifications):
        panels = {'accuracy, %': view.per_class()}
        rows = [[name, f'{value:.2f}'] for name, value in view.accuracies().items()]
        table = Table(['run', 'top-1 accuracy'], rows, measured, dots=True)
        caption = 'Accuracy of each class.'
    elif isinstance(view, Detections):
        panels = {'F1, %': view.per_class()}
        rows = [[name, *(f'{value:.1f}' for value in values.values())] for name, values in view.totals().items()]
        table = Table(['run', 'precision', 'recall', 'F1'], rows, f'{measured} {_BOXES}', dots=True)
        caption = 'F1 score of each class, which is not mAP.'
    else:
        return section
    if len(view.classes) > figures.MAX_CLASSES:
        caption += f' The {figures.MAX_CLASSES} classes on which the methods differ most.'
    section.blocks += [table, Picture(figures.class_bars(panels, view.classes, report.colours), caption)]
    return section


def confusions(report: Report) -> Section:
    """Return confusion matrices and the most frequent errors of classifiers."""
    section = Section('Confusions', 'confusions')
    view = report.view
    if isinstance(view, Classifications):
        matrices = {name: view.confusion(name) for name in view.predicted}
        svg = figures.confusion_matrices(matrices, view.classes)
        section.blocks.append(Picture(svg, 'Share of the images of a true class (row) that get each predicted class.'))
        rows = view.top_errors(15)
        if rows:
            section.blocks.append(Table(['true class', 'predicted', *matrices], rows, title='Most frequent errors',
                                        left=2))
    return section


def gallery(report: Report) -> Section:
    """Return the images on which the networks differ most."""
    section = Section('Images', 'images')
    view = report.view
    if view is None or not report.gallery_size:
        return section
    data = view.gallery(report.students, report.gallery_size)
    if isinstance(view, Segmentations):
        caption = ('Images on which the students differ most come first. Compare two layers with the slider below the '
                   'picture; wrong pixels are red, unlabelled ones grey.')
    elif isinstance(view, Detections):
        caption = ('Images on which the students differ most come first. Compare two layers with the slider below the '
                   f'picture; right boxes are green, wrong ones red, missed objects orange. {_BOXES}')
    else:
        caption = 'Images on which the students differ most come first; wrong predictions are red.'
    section.blocks.append(Gallery(data, report.tested_methods, caption))
    return section


def phases(report: Report) -> Section:
    """Return what each phase of each method costs."""
    section = Section('What each phase costs', 'phases')
    columns = ['phase', 'trainable parameters', 'iterations', 'TFLOPs', 'with cache', 'seconds', 'best value', 'at']
    for run in report.representatives:
        cost = report.costs.get(run.method)
        logged = {row['phase']: row for row in run.log.summary()} if run.log is not None else {}
        counted = {phase.name: phase for phase in cost.phases} if cost else {}
        if len(logged) <= 1 < len(counted):
            logged = {}
        if len(counted) == 1 and list(logged) == ['']:  # an ordinary run has a phase without a name
            logged = dict.fromkeys(counted, logged[''])
        rows = []
        for name in counted or logged:
            phase, row = counted.get(name), logged.get(name)
            first = [f'{phase.trainable:,}', f'{phase.iterations:,}', f'{phase.flops / TERA:,.4g}',
                     f'{phase.flops_cached / TERA:,.4g}'] if phase else ['', '', '', '']
            last = [f'{row["seconds"]:.1f}', *_best(row['metrics'])] if row else ['', '', '']
            ordinary = 'schedule' not in run.cfg
            rows.append(['training' if ordinary or not name else name, *first, *last])
        if rows:
            section.blocks.append(_without_empty(Table(columns, rows, title=run.method)))
    if section.blocks:
        section.blocks[-1].note = ('Seconds are those of the training iterations alone, as logged. The best value is '
                                   "that of the phase's validation.")
    return section


def spots(report: Report) -> Section:
    """Return the losses of spots by phase, and what routers keep."""
    section = Section('Spots', 'spots')
    for run in report.representatives:
        if run.log is None:
            continue
        svg = figures.spot_losses(run.log, report.colours[run.method])
        if svg is not None:
            section.blocks.append(Picture(svg, 'Validation loss of each spot over the iterations of its phase.',
                                          title=run.method))
        svg = figures.keep_rate_map(run.log)
        if svg is not None:
            section.blocks.append(Picture(svg, 'Share of the samples that the router distils at each spot.',
                                          title=f'{run.method}: keep rates'))
    return section


def configs(report: Report) -> Section:
    """Return the settings in which the configs differ."""
    section = Section('Differences of the configs', 'configs', folded=True)
    runs = [run for run in report.representatives if not run.is_teacher]
    if len(runs) > 1:
        rows, omitted = config_differences(runs)
        note = f'{omitted} more settings differ.' if omitted else ''
        section.blocks.append(Table(['setting', *(run.method for run in runs)], rows, note, left=1 + len(runs)))
    return section


def notes(report: Report) -> Section:
    """Return what is missing."""
    section = Section('Notes', 'notes')
    lines = list(dict.fromkeys([*report.sources.notes, *report.notes]))
    if lines:
        section.blocks.append(Markdown('\n'.join(f'- {line}' for line in lines)))
    return section


def best_validation(run: ReportRun, metric: str) -> float | None:
    """Return the best validation of a run's last phase; None if the metric was not logged."""
    if run.log is None:
        return None
    last = run.log.summary()[-1]['metrics']
    return last[metric]['best'] if metric in last else None


def main_metric(runs: Sequence[ReportRun]) -> str | None:
    """Return the usual metric of the task that the runs have logged; None if there is none."""
    names = [name for run in runs if run.log is not None for row in run.log.summary() for name in row['metrics']
             if name != 'loss']
    return default_metric(dict.fromkeys(names))


def _best(metrics: dict[str, dict[str, float]]) -> list[str]:
    """Return the best value of a phase's main metric, and its iteration."""
    name = default_metric([key for key in metrics if key != 'loss'])
    if name is None:
        return ['', '']
    return [f'{name} {metrics[name]["best"]:.5g}', f'{metrics[name]["at"]:,.0f}']


def _minutes(run: ReportRun) -> str:
    if run.log is None:
        return ''
    return f'{sum(row["seconds"] for row in run.log.summary()) / 60:.1f}'


def _number(value: float | None) -> str:
    return '' if value is None or not np.isfinite(value) else f'{value:.2f}'


def _without_empty(table: Table) -> Table:
    """Return a table without the columns that are empty in all rows."""
    kept = [i for i in range(len(table.columns)) if any(row[i] for row in table.rows)]
    return Table([table.columns[i] for i in kept], [[row[i] for i in kept] for row in table.rows], table.note,
                 title=table.title, dots=table.dots)
