# The same for classifiers, which mmpretrain builds.
_base_ = './default_runtime.py'
default_scope = 'mmpretrain'
default_hooks = dict(
    logger=dict(log_metric_by_epoch=True),
    checkpoint=dict(save_best='accuracy/top1'),
    visualization=dict(_delete_=True, type='VisualizationHook', enable=False))
visualizer = dict(type='UniversalVisualizer')
tta_model = dict(type='AverageClsScoreTTA')
