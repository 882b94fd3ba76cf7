import pytest
import torch

from skd_mm.distillers.loss_check import LossCheck
from tests.helpers import batch, build_distiller
from tests.two_processes import run_two_processes

NAN, INF = torch.tensor(float('nan')), torch.tensor(float('inf'))


def test_a_loss_that_is_not_finite_ends_the_run_and_is_named():
    check = LossCheck()
    check(torch.tensor(3.), dict(loss=torch.tensor(3.), accuracy=NAN))
    with pytest.raises(FloatingPointError, match=r'^the loss is not finite: head\.loss is inf, spots\.a\.loss is nan$'):
        check(NAN, {'loss': NAN, 'head.loss': INF, 'spots.a.loss': NAN, 'spots.b.loss': torch.tensor(1.),
                    'accuracy': NAN})
    with pytest.raises(FloatingPointError, match=r'^the loss is not finite: loss is nan$'):
        check(NAN, dict(loss=NAN))


def test_some_in_a_row_may_be_left_to_a_scaler():
    check, fine = LossCheck(patience=2), torch.tensor(1.)
    for loss in (NAN, INF, fine, NAN, NAN):
        check(loss, dict(loss=loss))
        check(fine, dict(loss=fine, judge_loss=fine))  # another loss of the same iteration
    with pytest.raises(FloatingPointError, match=r'the loss is not finite: loss is nan, 3 times in a row$'):
        check(NAN, dict(loss=NAN))
    check(INF, dict(loss=INF, judge_loss=INF))


def test_a_distiller_checks_its_losses():
    distiller = build_distiller()
    inputs, samples = batch()
    with pytest.raises(FloatingPointError, match=r'decode\.loss_ce is nan'):
        distiller.parse_losses(distiller.loss(inputs * float('nan'), samples))
    distiller.loss_check = LossCheck(patience=1)
    total, _ = distiller.parse_losses(distiller.loss(inputs * float('nan'), samples))
    assert total.isnan()


def _process(rank, address, queue):
    torch.distributed.init_process_group('gloo', init_method=address, rank=rank, world_size=2)
    check, said = LossCheck(), []
    for losses in ((1., 1.), (1., float('nan'))):
        loss = torch.tensor(losses[rank])
        try:
            check(loss, {'loss': loss, 'head.loss': loss})
        except FloatingPointError as error:
            said.append(str(error))
    queue.put((rank, said))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_all_processes_end_together(tmp_path):
    said = dict(run_two_processes(_process, tmp_path))
    assert said == {0: ['the loss is not finite: that of another process'],
                    1: ['the loss is not finite: head.loss is nan']}
