"""The loop that trains every paper. It knows none.

fit          one loop: schedule, precision, clipping, checkpoints, watchers
minibatches  batches as a function of the step, so that a resumed run sees the same data
history      what a run has measured, step by step
checkpoints  whole or not at all: a run that goes on after a kill, and weights with their card
ship         from a finished run to a shipped checkpoint: weights, card, no leftovers
terminal     a progress bar, and Ctrl-C between two steps
distributed  the same run on several processes, started by torchrun
"""
