# CWD at the logits with the weight of CIRKD's code for SegFormer, which also compares features.
_base_ = './seg_cwd.py'
distiller = dict(spots=[dict(_base_.distiller.spots[0], weight=0.3)])
