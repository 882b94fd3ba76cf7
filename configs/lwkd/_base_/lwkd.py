# LW-KD in our own design (docs/lwkd.md): (1 - α) CE + α τ² KL + λ L_S with α = .9, τ = 4, λ = .1. A config adds
# the number of classes, the teacher's run, the student, data and optimizer.
prelude = dict(min_accuracy={'accuracy/top1': 98})
model = dict(
    type='skd_mm.Distiller',
    teacher=dict(type='skd_mm.TargetBank', checkpoint='prelude/bank.pth'),
    spots=[dict(
        name='logits', student='head.fc', teacher='bank', loss=dict(type='KDLoss', temperature=4),
        discriminator=dict(type='LabelDiscriminator'))])
schedule = dict(type='Phases', val_interval=5, phases=[
    dict(name='lwkd', train='all', task=0.1, spots={'logits': 0.9, 'logits.discriminator': 0.1})])
