# tools/demo.py sets the epochs: as many as cost what the stagewise schedule does.
_base_ = './skd.py'
schedule = dict(type='Simultaneous')
