# Does the policy of SAKD choose well? 32 epochs, for all gates and, for plain distillation, at the policy's compute too.
# cifar100_sakd_selection.py selected `teacher_bias`. `random` has the policy's mean rates in that run.
_base_ = './_base_/cifar100_quarter.py'
config = 'configs/sakd/cifar100/sakd-at_resnet56_resnet20_1xb64-240e_cifar100.py'
bias = {'model.router.teacher_bias': 3}
study = dict(
    title='SAKD, CIFAR-100, 2,458 training images: resnet56 → resnet20',
    fractions=[0.25],
    baseline='always',
    equal_compute=dict(reference='policy', methods=['always, equal compute']),
    options={'schedule.val_interval': 8},
    teachers=[_base_.resnet56],
    methods=[
        dict(name='always', cfg=config, epochs=32, options={'model.router.gate': 'always', **bias}),
        dict(name='always, equal compute', cfg=config, options={'model.router.gate': 'always', **bias}),
        dict(name='policy', cfg=config, epochs=32, options={'model.router.gate': 'policy', **bias}),
        dict(name='random', cfg=config, epochs=32, options={
            'model.router.gate': 'random', 'model.router.keep.stage1': 0.76, 'model.router.keep.stage2': 0.83,
            'model.router.keep.stage3': 0.77, 'model.router.keep.logits': 1.0, **bias}),
        dict(name='anti', cfg=config, epochs=32, options={'model.router.gate': 'anti', **bias}),
    ])
