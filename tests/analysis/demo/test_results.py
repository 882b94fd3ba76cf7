import io

from rich.console import Console

from skd_mm.analysis.demo.results import markdown, results_table

RUN = dict(images=4, length='3 x 2', test_mIoU=dict(best=12.345, last=11.1), parameters=507207, macs=59e6,
           training_flops=4200e9, training_flops_cached=600e9, seconds=61.4)
RESULTS = dict(runs=dict(skd=RUN, no_teacher=dict(RUN, length='2')), seed=3, fraction=0.1, runs_at_a_time=2, threads=1,
               data=dict(counts=dict(test=48, train=200)))


def test_markdown():
    text = markdown(RESULTS)
    lines = text.splitlines()
    assert len({len(line) for line in lines[:4]}) == 1
    cells = [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines[:4]]
    assert cells[2] == ['stagewise', '12.35', '11.10', '4', '3 x 2', '507,207', '59.0', '4,200', '600', '1:01']
    assert dict(zip(cells[0], cells[3], strict=True))['epochs'] == '2'
    assert '10% of the 200 training images' in text and 'without their labels' in text and 'one seed (3)' in text


def test_the_table_fits_a_terminal():
    run = dict(RUN, images=20000, parameters=12345678, training_flops=12345e9, seconds=754)
    console = Console(file=io.StringIO(), width=80)
    console.print(results_table(dict(RESULTS, runs=dict(simultaneous=run))))
    line = console.file.getvalue().splitlines()[3]
    assert line.split() == ['simultaneous', '12.35', '11.10', '20000', '12,345,678', '12,345', '600', '12:34']
