# tools/demo.py sets the epochs such that the cost equals that of the stagewise schedule.
_base_ = './skd.py'
schedule = dict(type='Simultaneous')
