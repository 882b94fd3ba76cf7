# Hinton's knowledge distillation: T = 4, α = 1. Every other distiller of SAKD's table stands beside it.
logits = dict(name='logits', student='head.fc', loss=dict(type='KDLoss', temperature=4))
distiller = dict(spots=[logits], gamma=1)
