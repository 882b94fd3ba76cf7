# Tabular data: 13 measurements of wines of three kinds. It needs scikit-learn.
_base_ = ['../_base_/lwkd.py', '../../_base_/datasets/wine.py', '../../_base_/schedules/phases_cls.py']
prelude = dict(cfg='configs/teachers/lenet5_1xb128-20e_digits3.py')
model = dict(
    input_shape=(13, 1, 1), teacher=dict(num_classes=3), student=dict(cfg='configs/students/mlp_wine.py'))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
schedule = dict(phase_epochs=100, val_interval=10)
