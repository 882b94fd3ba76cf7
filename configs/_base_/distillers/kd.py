# Hinton's knowledge distillation: T = 4, α = 1. All other distillers of SAKD's table are added to it.
logits = dict(name='logits', student='head.fc', loss=dict(type='KDLoss', temperature=4))
distiller = dict(spots=[logits], gamma=1)
