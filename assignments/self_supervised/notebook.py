# %% [markdown]
# Without labels there is no accuracy to watch. What remains is to know what a loss must be, to
# measure the geometry of the features, and to distrust every score that is too good.

# %% tags=["exercise:slow_teacher"]

# %% [markdown]
# ## Contrast
#
# The two views of a picture are each other's only "label". Much depends on who stands where.

# %% tags=["exercise:views_apart"]

# %% tags=["exercise:few_negatives"]

# %% tags=["exercise:align_uniform"]

# %% [markdown]
# ## Teach
#
# DINO has no negatives. Its teacher is a slow copy of its student, and both may collapse together.

# %% tags=["exercise:pair_loss"]

# %% tags=["exercise:test_follow"]

# %% [markdown]
# ## Measure

# %% tags=["exercise:neighbour_score"]

# %% [markdown] tags=["written:too_good"]
