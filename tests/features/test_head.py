import pytest
import torch
from torch import nn

from skd_mm.features import FeatureExtractor, head_feature


class Head(nn.Module):
    """A head whose classifier reads what the given function makes of the head and its input."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.dropout = nn.Dropout2d(0.5)
        self.conv_seg = nn.Conv2d(4, 2, 1)
        self.run = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.run(self, x)


class Inner(nn.Module):
    """A part that calls the head's classifier, as PIDNet's does."""

    def __init__(self):
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True)

    def forward(self, x, classify):
        return classify(self.act(self.conv(x)))


def found(forward, classifier='decode_head.conv_seg', **parts):
    model = nn.ModuleDict({'decode_head': Head(forward, **parts)}).eval()
    call = model['decode_head']
    with torch.no_grad():
        return head_feature(FeatureExtractor(model, 'student'), classifier, lambda: call(torch.randn(1, 3, 4, 4)))


def test_it_is_the_outermost_module_before_the_dropout():
    assert found(lambda head, x: head.conv_seg(head.dropout(head.body(x)))) == 'decode_head.body'
    assert found(lambda head, x: head.conv_seg(head.body(x))) == 'decode_head.body'
    # Other modules may run between and after.
    assert found(lambda head, x: (head.body(x), head.conv_seg(head.body(x)), head.aux(x)),
                 aux=nn.Conv2d(3, 1, 1)) == 'decode_head.body'
    part = found(lambda head, x: head.part(x, lambda y: head.conv_seg(head.dropout(y))), part=Inner())
    assert part == 'decode_head.part.act'


def test_a_head_without_one_says_so():
    words = r"student \(ModuleDict\) has no classifier 'decode_head\.cls'.*name the modules"
    with pytest.raises(ValueError, match=words):
        found(lambda head, x: head.conv_seg(head.body(x)), 'decode_head.cls')
    with pytest.raises(ValueError, match=r'`head_feature` is for segmentation'):
        found(lambda head, x: head.conv_seg(head.body(x)), '')
    with pytest.raises(ValueError, match=r"no classifier 'head\.conv_seg'"):
        found(lambda head, x: head.conv_seg(head.body(x)), 'head.conv_seg')
    for forward in (lambda head, x: head.body(x),  # the classifier does not run
                    lambda head, x: head.conv_seg(head.body(x) + 1)):
        with pytest.raises(ValueError, match=r"no module of the head .* returns what 'decode_head.conv_seg' reads"):
            found(forward)
