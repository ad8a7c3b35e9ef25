# %% [markdown]
# The pictures are matched by now; what do the matches tell? In this assignment you count what
# matching costs, describe a patch, choose which matches to believe, and let them vote.

# %% tags=["exercise:matching_cost"]

# %% [markdown]
# ## Describe
#
# A patch is described relative to its own direction, and its numbers should not care about the
# light. You have met both in lesson 01.

# %% tags=["exercise:orientation_histogram"]

# %% tags=["exercise:costs"]

# %% [markdown]
# ## Believe
#
# Most nearest neighbours are wrong. The ratio test asks whether the second-nearest is much farther.

# %% tags=["exercise:ratio_test"]

# %% [markdown]
# ## Agree
#
# Right matches agree with each other, and wrong ones do not. This is the idea of voting (here on a
# rotation) and of RANSAC (there on a homography).

# %% tags=["exercise:rotation_vote"]

# %% tags=["exercise:strongest_apart"]

# %% tags=["exercise:consensus"]

# %% [markdown]
# ## Test
#
# Angles live on a circle, and much code forgets it.

# %% tags=["exercise:test_angle_gap"]

# %% [markdown] tags=["written:where_it_breaks"]
