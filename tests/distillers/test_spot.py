import pytest
import torch
from torch import nn

from skd_mm.distillers.spot import Setting, Spot
from skd_mm.distillers.spot_configs import spot_configs
from skd_mm.losses import SpotLoss
from skd_mm.registry import LOSSES


def spot(student=(4, 8, 8), teacher=(4, 8, 8), **cfg):
    cfg = spot_configs(dict(student='a', teacher='b', **cfg))[0]
    return Spot(**cfg, features=(torch.zeros(1, *student), None if teacher is None else torch.zeros(1, *teacher)))


def test_a_name_is_enough():
    assert spot_configs('backbone.layer1')[0] == dict(
        name='backbone.layer1', student='backbone.layer1', teacher='backbone.layer1', loss=dict(type='MSELoss'),
        connector='auto', teacher_connector=None)


@pytest.mark.parametrize(('cfg', 'connectors'), [
    (dict(backbone_stage=1), ['auto']), (dict(student='a'), [None]),
    (dict(backbone_stage=1, connector=None), [None]), (dict(backbone_stage=1, teacher_connector='auto'), [None]),
    (dict(backbone_stage=1, loss=dict(type='SPLoss')), [None]),  # it compares any shapes
    (dict(backbone_stage=1, loss=[dict(type='MSELoss'), dict(type='SPLoss')]), ['auto', None]),
    (dict(backbone_stage='consecutive', loss=dict(type='FSPLoss')), [None])])
def test_short_forms_get_connectors_where_their_loss_needs_them(cfg, connectors):
    pairs = [('a', 'x'), ('b', 'y')]
    assert [spot['connector'] for spot in spot_configs(cfg, lambda: pairs)] == connectors


def test_the_last_features_of_the_heads_are_found_for_a_spot():
    heads = lambda: ('decode_head.convs', 'decode_head.bottleneck')  # noqa: E731
    spot, = spot_configs(dict(head_feature=True, weight=2), heads=heads)
    assert spot == dict(name='decode_head.convs', student='decode_head.convs', teacher='decode_head.bottleneck',
                        loss=dict(type='MSELoss'), connector='auto', teacher_connector=None, weight=2)
    spot, = spot_configs(dict(name='ifvd', head_feature=True, loss=dict(type='IFVDLoss')), heads=heads)
    assert (spot['name'], spot['connector']) == ('ifvd', None)  # it compares any channels
    for wrong in (False, 'auto', 1):
        with pytest.raises(ValueError, match=f'`head_feature` must be True, not {wrong!r}'):
            spot_configs(dict(head_feature=wrong), heads=heads)


def test_what_is_left_out_is_filled_in():
    cfg = spot_configs(dict(student='a'))[0]
    assert (cfg['name'], cfg['teacher']) == ('a', 'a')
    cfg = spot_configs(dict(student='a', teacher='b', name='c', loss=dict(type='X')))[0]
    assert (cfg['name'], cfg['teacher'], cfg['loss']) == ('c', 'b', dict(type='X'))


@pytest.mark.parametrize(('cfg', 'words'), [
    (dict(student='a', techer='b'), "'techer' is no key of a spot; did you mean 'teacher'"),
    (dict(student='a', conector='auto'), "'conector' is no key of a spot; did you mean 'connector'"),
    (dict(student='a', backbone_stage=1), r'either .* or module names, not `backbone_stage` \(1\), `student`'),
    (dict(teacher='a', head_feature=True), r'not `head_feature` \(True\), `teacher`'),
    (dict(backbone_stage=1, head_feature=True), r'not `backbone_stage` \(1\), `head_feature` \(True\)'),
    (dict(teacher='b'), 'names no `student` module')])
def test_wrong_keys(cfg, words):
    with pytest.raises(ValueError, match=rf'model\.spots: .*{words}'):
        spot_configs(cfg)


def test_equal_features_need_nothing():
    made = spot()
    assert not list(made.parameters())
    student, teacher = torch.randn(2, 3, 4, 8, 8).unbind()
    torch.testing.assert_close(made(student, teacher), (student - teacher).square().mean((1, 2, 3)))


def test_auto_bridges_channels_and_resolution_and_only_what_differs():
    assert [type(part).__name__ for part in spot(connector='auto').connector] == []
    assert [type(part).__name__ for part in spot((3, 8, 8), connector='auto').connector] == ['Conv1x1']
    assert [type(part).__name__ for part in spot((4, 5, 5), connector='auto').connector] == ['Resize']
    both = spot((3, 5, 5), connector='auto')
    assert [type(part).__name__ for part in both.connector] == ['Conv1x1', 'Resize']
    assert both.connect(torch.zeros(2, 3, 5, 5), torch.zeros(2, 4, 8, 8))[0].shape == (2, 4, 8, 8)


@pytest.mark.parametrize(('student', 'teacher', 'images', 'compared'), [
    ((3, 8, 8), (17, 5), ((64, 64), (64, 64)), (5, 4, 4)),  # a map and the tokens of a ViT
    ((17, 5), (3, 8, 8), ((64, 64), (64, 64)), (3, 8, 8)),
    ((3, 8, 16), (37 * 73 + 5, 6), ((512, 1024), (518, 1022)), (6, 37, 73)),  # an image of its own
    ((3, 4, 8), (4, 8, 3), ((64, 128), (64, 128)), (3, 4, 8)),
    ((5, ), (17, 3), ((64, 64), (64, 64)), (3, )),
    ((17, 3), (17, 5), ((64, 64), (64, 64)), (17, 5))])
def test_auto_bridges_layouts_and_trains(student, teacher, images, compared):
    cfg = spot_configs(dict(student='a', teacher='b', connector='auto'))[0]
    one, other = torch.randn(2, *student, requires_grad=True), torch.randn(2, *teacher)
    made = Spot(**cfg, features=(one[:1].detach(), other[:1]), setting=Setting(images=images))
    arranged = made.arrange(one, other, images)
    assert [side.shape[1:] for side in made.connect(*arranged)] == [compared, compared]
    made(*arranged).sum().backward()
    assert one.grad.abs().sum() > 0 and all(weight.grad.abs().sum() > 0 for weight in made.parameters())


def test_layouts_are_changed_before_all_else_and_extra_tokens_are_filled_in():
    cfg = spot_configs(dict(student='a', teacher='b', connector=[dict(type='Conv1x1'), dict(type='Resize')],
                            teacher_connector=dict(type='TokensToMap')))[0]
    made = Spot(**cfg, features=(torch.zeros(1, 3, 8, 8), torch.zeros(1, 18, 5)),
                setting=Setting(images=((64, 64), (64, 64))))
    assert made.teacher_layout[0].extra_tokens == 2 and not made.teacher_connector
    assert made.connector[0].conv.weight.shape == (5, 3, 1, 1)


@pytest.mark.parametrize(('cfg', 'words'), [
    (dict(connector='auto', teacher_connector='auto'), 'bridges all differences: leave out the teacher_connector'),
    (dict(connector=[dict(type='Linear'), dict(type='TokensToMap')]), 'TokensToMap changes the layout: put it before')])
def test_lists_of_connectors_that_contradict_themselves(cfg, words):
    with pytest.raises(ValueError, match=rf"spot 'a': .*{words}"):
        spot((17, 5), (4, 8, 8), **cfg)


def test_a_connector_on_the_teachers_side():
    made = spot((3, 8, 8), (4, 6, 6), teacher_connector=[dict(type='Conv1x1', bias=False), dict(type='Resize')])
    student, teacher = made.connect(torch.ones(2, 3, 8, 8), torch.ones(2, 4, 6, 6))
    assert student.shape == teacher.shape == (2, 3, 8, 8)
    assert [name for name, _ in made.named_parameters()] == ['teacher_connector.0.conv.weight']


@pytest.mark.parametrize(('student', 'teacher', 'words'), [
    ((3, 8, 8), (4, 8, 8), r"\[3, 8, 8\], .*\[4, 8, 8\]: connector=dict\(type='Conv1x1'\) bridges the channels;"),
    ((4, 5, 5), (4, 8, 8), r"\[4, 5, 5\], .*\[4, 8, 8\]: connector=dict\(type='Resize'\) the resolution;"),
    ((3, 5, 5), (4, 8, 8), "Conv1x1.*Resize.*connector='auto' does what is needed"),
    ((7, ), (4, 8, 8), 'different numbers of dimensions')])
def test_features_that_differ_are_refused_with_what_would_bridge_them(student, teacher, words):
    with pytest.raises(ValueError, match=rf"spot 'a': .*{words}"):
        spot(student, teacher)


def test_a_connector_that_does_not_bridge_enough_is_refused_too():
    with pytest.raises(ValueError, match=r"spot 'a': .*Conv1x1"):
        spot((3, 5, 5), connector=dict(type='Resize'))


def test_a_connector_that_does_not_take_the_feature():
    with pytest.raises(ValueError, match=r"spot 'a': its connector does not take the feature \[1, 7\]"):
        spot((7, ), (4, 8, 8), connector=dict(type='Conv1x1'))


def test_without_a_teacher_nothing_is_checked():
    assert spot(teacher=None).shapes == ((4, 8, 8), (4, 8, 8))


def test_a_loss_that_takes_unequal_shapes_is_not_checked():

    @LOSSES.register_module(name='ToyUnequal', force=True)
    class ToyUnequal(SpotLoss):
        same_shape = False

        def forward(self, student, teacher):
            return student.flatten(1).mean(1) - teacher.flatten(1).mean(1)

    try:
        made = spot((3, 5, 5), loss=dict(type='ToyUnequal'))
        assert made(torch.ones(2, 3, 5, 5), torch.zeros(2, 4, 8, 8)).tolist() == [1, 1]
    finally:
        LOSSES.module_dict.pop('ToyUnequal')


def test_the_check_leaves_no_trace_in_a_connector():
    from skd_mm.registry import CONNECTORS

    @CONNECTORS.register_module(name='ToyNorm', force=True)
    class ToyNorm(nn.Module):

        def __init__(self, in_channels=0, out_channels=0):
            super().__init__()
            self.bn = nn.BatchNorm2d(in_channels)

        def forward(self, feature, reference):
            return self.bn(feature)

    try:
        made = spot(connector=dict(type='ToyNorm'))
        assert made.training
        assert made.connector[0].bn.num_batches_tracked == 0
        assert made.connector[0].bn.running_var.tolist() == [1.] * 4
    finally:
        CONNECTORS.module_dict.pop('ToyNorm')


def test_configs_are_left_alone():
    cfg = dict(student='a', connector=[dict(type='Conv1x1')], loss=dict(type='MSELoss'))
    before = repr(cfg)
    Spot(**spot_configs(cfg)[0], features=(torch.zeros(1, 3, 2, 2), torch.zeros(1, 5, 2, 2)))
    assert repr(cfg) == before


@pytest.mark.parametrize(('cfg', 'words'), [
    (dict(loss=dict(type='MSELos')), 'MSELoss'), (dict(connector=dict(type='Conv1x')), 'Conv1x1'),
    (dict(teacher_connector=dict(type='Resise')), 'Resize'),
    (dict(connector='atuo'), 'auto')])
def test_an_unknown_kind_is_answered_with_the_closest(cfg, words):
    with pytest.raises((KeyError, ValueError), match=f'did you mean.*{words}'):
        spot(**cfg)
